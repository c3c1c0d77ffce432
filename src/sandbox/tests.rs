//! Meters and customers, asked as a client asks. The numbers are worked out by hand.

use serde_json::{Value, json};

use super::faults::FaultPlan;
use super::fixtures::{DEFAULT_TOKEN, Directory, Fixtures};
use super::service::{Call, CallBody, Service};
use super::store::Store;

struct Server(Service);

impl Server {
    fn new() -> Server {
        let directory = Directory::new(Fixtures::default());
        Server(Service::new(directory, Store::default(), None, FaultPlan::none(), 0))
    }

    fn call(&self, method: &str, target: &str, body: &Value) -> (u16, Value) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let authorization = format!("Bearer {DEFAULT_TOKEN}");
        let reply = self.0.answer(&Call {
            method,
            path,
            query,
            host: "localhost",
            authorization: Some(&authorization),
            content_type: None,
            body: CallBody::Read(body.as_bytes()),
        });
        (reply.status, serde_json::from_str(&reply.body).unwrap_or(Value::Null))
    }

    #[track_caller]
    fn get(&self, target: &str) -> Value {
        let (status, body) = self.call("GET", target, &Value::Null);
        assert_eq!(status, 200, "{target}: {body}");
        body
    }

    #[track_caller]
    fn meter(&self, aggregation: &Value, clauses: &Value) -> String {
        let filter = json!({"conjunction": "and", "clauses": clauses});
        let meter = json!({"name": "Meter", "filter": filter, "aggregation": aggregation});
        let (status, made) = self.call("POST", "/v1/meters/", &meter);
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn ingest(&self, events: &Value) {
        let (status, body) = self.call("POST", "/v1/events/ingest", &json!({ "events": events }));
        assert_eq!(status, 200, "{body}");
    }
}

/// Two customers, three days, numbers as numbers, texts and not at all.
fn with_events() -> Server {
    let server = Server::new();
    let event = |day: u32, who: &str, metadata: Value| {
        json!({"name": "use", "timestamp": format!("2026-11-{day:02}T10:30:00Z"), "external_customer_id": who,
            "metadata": metadata})
    };
    server.ingest(&json!([
        event(1, "acme", json!({"n": 10, "model": "a"})),
        event(1, "acme", json!({"n": "40", "model": "a"})),
        event(1, "zeta", json!({"n": 2.5, "model": "b"})),
        event(3, "zeta", json!({"n": 4, "model": "a"})),
        event(3, "zeta", json!({"n": true, "model": "c"})),
        event(3, "acme", json!({"model": 7})),
        {"name": "other", "timestamp": "2026-11-03T10:30:00Z", "external_customer_id": "acme", "metadata": {"n": 1000}},
    ]));
    server
}

const RANGE: &str = "start_timestamp=2026-11-01T00:00:00Z&end_timestamp=2026-11-03T23:59:59Z&interval=day";

#[track_caller]
fn check(aggregation: Value, more: &str, days: [f64; 3], total: f64) {
    let server = with_events();
    let id = server.meter(&aggregation, &json!([{"property": "name", "operator": "eq", "value": "use"}]));
    let answer = server.get(&format!("/v1/meters/{id}/quantities?{RANGE}{more}"));
    let quantities = answer["quantities"].as_array().unwrap();
    let found: Vec<f64> = quantities.iter().map(|each| each["quantity"].as_f64().unwrap()).collect();
    assert_eq!((found, answer["total"].as_f64()), (days.to_vec(), Some(total)), "{aggregation} {more}");
    assert_eq!(quantities[1]["timestamp"], "2026-11-02T00:00:00Z");
}

#[test]
fn quantities_are_of_numbers_alone_by_day_and_customer() {
    let of = |function: &str| json!({"func": function, "property": "n"});
    check(json!({"func": "count"}), "", [3.0, 0.0, 3.0], 6.0);
    check(json!({"func": "count"}), "&external_customer_id=acme", [2.0, 0.0, 1.0], 3.0);
    check(of("sum"), "", [12.5, 0.0, 4.0], 16.5);
    check(of("sum"), "&external_customer_id=zeta", [2.5, 0.0, 4.0], 6.5);
    check(of("avg"), "", [6.25, 0.0, 4.0], 5.5);
    check(of("min"), "", [2.5, 0.0, 4.0], 2.5);
    check(of("max"), "", [10.0, 0.0, 4.0], 10.0);
    check(json!({"func": "unique", "property": "model"}), "", [2.0, 0.0, 3.0], 4.0);
}

#[test]
fn an_interval_begins_where_the_calendar_says() {
    let server = with_events();
    let id = server.meter(&json!({"func": "count"}), &json!([]));
    let starts = |interval: &str| {
        let range = "start_timestamp=2026-11-01T05:00:00Z&end_timestamp=2026-11-03T10:00:00Z";
        let answer = server.get(&format!("/v1/meters/{id}/quantities?{range}&interval={interval}"));
        let list = answer["quantities"].as_array().unwrap();
        (list.len(), list[0]["timestamp"].as_str().unwrap().to_owned())
    };
    assert_eq!(starts("hour"), (54, "2026-11-01T05:00:00Z".into()));
    // The first of November is a Sunday.
    assert_eq!(starts("week"), (2, "2026-10-26T00:00:00Z".into()));
    assert_eq!(starts("month"), (1, "2026-11-01T00:00:00Z".into()));
    assert_eq!(starts("year"), (1, "2026-01-01T00:00:00Z".into()));
}

#[test]
fn a_meter_is_listed_changed_and_put_into_the_archive() {
    let server = with_events();
    let id = server.meter(
        &json!({"func": "sum", "property": "metadata.n"}),
        &json!([{"property": "metadata.model", "operator": "eq", "value": "a"}]),
    );
    assert_eq!(server.get(&format!("/v1/meters/{id}"))["filter"]["clauses"][0]["property"], "model");
    assert_eq!(server.get(&format!("/v1/events/?meter_id={id}"))["pagination"]["total_count"], 2);
    assert_eq!(server.call("PATCH", &format!("/v1/meters/{id}"), &json!({"is_archived": true})).0, 200);
    assert_eq!(server.get("/v1/meters/?is_archived=true")["pagination"]["total_count"], 1);
    assert_eq!(server.get("/v1/meters/?is_archived=false")["items"], json!([]));
    assert_eq!(server.call("GET", "/v1/meters", &Value::Null).0, 307);
    assert_eq!(server.call("GET", "/v1/meters/x", &Value::Null).0, 422);
    assert_eq!(server.call("GET", "/v1/meters/00000000-0000-4000-8000-000000000001", &Value::Null).0, 404);
}

#[test]
fn what_makes_no_meter_is_refused() {
    let server = Server::new();
    let filter = json!({"conjunction": "and", "clauses": []});
    for body in [
        json!({"name": "No", "filter": filter, "aggregation": {"func": "count"}}),
        json!({"name": "Meter", "filter": {"conjunction": "xor"}, "aggregation": {"func": "count"}}),
        json!({"name": "Meter", "filter": filter, "aggregation": {"func": "sum"}}),
    ] {
        assert_eq!(server.call("POST", "/v1/meters/", &body).0, 422, "{body}");
    }
}

#[test]
fn a_customer_is_made_found_announced_and_has_the_events_from_before() {
    let server = with_events();
    server.meter(&json!({"func": "sum", "property": "n"}), &json!([]));
    assert_eq!(server.call("GET", "/v1/customers/external/acme", &Value::Null).0, 404);
    assert_eq!(server.get("/v1/customer-meters/")["items"], json!([]));
    let body = json!({"external_id": "acme", "email": "a@acme.example"});
    let (status, made) = server.call("POST", "/v1/customers/", &body);
    assert_eq!(status, 201, "{made}");
    assert_eq!(server.call("POST", "/v1/customers/", &body).0, 422, "twice");
    assert_eq!(server.get("/v1/customers/external/acme")["id"], made["id"]);
    assert_eq!(server.get(&format!("/v1/customers/{}", made["id"].as_str().unwrap()))["external_id"], "acme");
    assert_eq!(server.get("/v1/customers/")["pagination"]["total_count"], 1);
    let meters = server.get("/v1/customer-meters/?external_customer_id=acme");
    assert_eq!(meters["items"][0]["consumed_units"], 1010.0);
    assert_eq!(server.get("/v1/events/?source=user")["pagination"]["total_count"], 7);
    let system = server.get("/v1/events/?source=system");
    assert_eq!(system["items"][0]["name"], "customer.created");
    assert_eq!(system["items"][0]["metadata"]["customer_external_id"], "acme");
    assert_eq!(server.get("/v1/organizations/")["items"][0]["name"], "Sandbox");
}

#[test]
fn fixtures_bring_meters_and_what_is_none_is_told() {
    let of = |meter: &str| {
        Fixtures::of_json(&format!(
            r#"{{"organizations":[{{"id":"00000000-0000-4000-8000-000000000001","meters":[{meter}]}}]}}"#
        ))
    };
    let filter = r#""filter":{"conjunction":"and","clauses":[]}"#;
    assert!(
        of(&format!(r#"{{"name":"Calls",{filter},"aggregation":{{"func":"count"}},"is_archived":true}}"#))
            .is_ok()
    );
    let wrong = of(&format!(r#"{{"name":"Calls",{filter}}}"#)).unwrap_err();
    assert!(wrong.contains("a meter with a wrong name, filter or aggregation"), "{wrong}");
}
