use super::*;

fn key(text: &str) -> Step {
    Step::Key(text.to_owned())
}

fn line(steps: Vec<Step>) -> Path {
    Path { root: Root::Line, steps }
}

#[test]
fn a_path_has_keys_indexes_and_odd_keys() {
    let path = parse_path(r#"a.b-c[0]."odd.key""#).unwrap();
    assert_eq!(path, line(vec![key("a"), key("b-c"), Step::Index(0), key("odd.key")]));
    assert_eq!(parse_path(r#""@timestamp""#).unwrap(), line(vec![key("@timestamp")]));
    assert_eq!(parse_path("@path.tenant").unwrap().root, Root::PathCapture("tenant".to_owned()));
    assert_eq!(parse_path("@item.units").unwrap(), Path { root: Root::Item, steps: vec![key("units")] });
    assert_eq!(parse_path("@container.time").unwrap().root, Root::ContainerTime);
    assert_eq!(parse_path("@preset.id").unwrap().root, Root::Preset("id".to_owned()));
    assert_eq!(parse_path("[1]").unwrap(), line(vec![Step::Index(1)]));
}

#[test]
fn a_fault_of_a_path_names_its_place() {
    #[track_caller]
    fn check(text: &str, span: std::ops::Range<usize>, message: &str) {
        let fault = parse_path(text).unwrap_err();
        assert_eq!((fault.span, fault.message.as_str()), (span, message), "{text}");
    }
    check("a b", 1..3, "the path ends here, but the text goes on");
    check("a.", 2..2, "a path is expected here");
    check("", 0..0, "a path is expected here");
    check("a[x]", 1..4, "an index is a whole number from 0");
    check("a[1", 1..3, "this bracket is never closed");
    check("@timestamp", 0..10, "`@timestamp` is not known");
    check("@preset.", 0..8, "`@preset.` is not known");
    check("@preset.a.b", 9..11, "this value has no fields of its own");
    check("@source.x", 7..9, "this value has no fields of its own");
    check("a.\"b", 2..4, "this quote is never closed");
}

#[test]
fn a_template_is_text_with_placeholders() {
    let template = parse_template("app:{usage_id}").unwrap();
    let usage = Expression { start: Start::Path(line(vec![key("usage_id")])), pipes: vec![] };
    assert_eq!(template.parts, [Part::Text("app:".to_owned()), Part::Placeholder(usage)]);
    assert_eq!(parse_template("{{a}} b").unwrap().parts, [Part::Text("{a} b".to_owned())]);
    assert_eq!(parse_template("").unwrap().parts, [Part::Text(String::new())]);
}

#[test]
fn pipes_take_literals_and_paths() {
    let number = |text: &str| Argument::Literal(Literal::Number(text.parse().unwrap()));
    #[track_caller]
    fn check(text: &str, wanted: Pipe) {
        let template = parse_template(&format!("{{a | {text} }}")).unwrap();
        let [Part::Placeholder(expression)] = template.parts.as_slice() else { panic!("{template:?}") };
        assert_eq!(expression.pipes, [wanted]);
    }
    check("mul('100')", Pipe::Mul(number("100")));
    check("add(-0.5)", Pipe::Add(number("-0.5")));
    check("div( b.c )", Pipe::Div(Argument::Path(line(vec![key("b"), key("c")]))));
    check("default('no | \\'}')", Pipe::Default(Argument::Literal(Literal::Text("no | '}".to_owned()))));
    check("default(false)", Pipe::Default(Argument::Literal(Literal::Bool(false))));
    check("default(\"odd key\")", Pipe::Default(Argument::Path(line(vec![key("odd key")]))));
    check("round(12)", Pipe::Round(12));
    check("split('/', 2)", Pipe::Split { separator: "/".to_owned(), index: 2 });
    check("duration(ms)", Pipe::Duration(DurationUnit::Milliseconds));
    check("parse_json(a[0])", Pipe::ParseJson(line(vec![key("a"), Step::Index(0)])));
    check("enum('a','b')", Pipe::Enum(vec!["a".to_owned(), "b".to_owned()]));
    let zoneless = |zone| Pipe::Timestamp { format: "%Y-%m-%dT%H:%M:%S%.f".to_owned(), zone: Some(zone) };
    check("timestamp('%Y-%m-%dT%H:%M:%S%.f', 'UTC')", zoneless(jiff::tz::TimeZone::UTC));
    let fixed = jiff::tz::TimeZone::fixed(jiff::tz::offset(-3));
    check("timestamp('%Y-%m-%dT%H:%M:%S%.f', '-03:00')", zoneless(fixed));
    check(
        "timestamp('%d/%b/%Y:%H:%M:%S %z')",
        Pipe::Timestamp { format: "%d/%b/%Y:%H:%M:%S %z".to_owned(), zone: None },
    );
    check("timestamp('%s')", Pipe::Timestamp { format: "%s".to_owned(), zone: None });
}

#[test]
fn pipes_can_stand_alone() {
    assert_eq!(parse_pipes("int").unwrap(), [Pipe::Int]);
    assert_eq!(parse_pipes(" trim | duration(ms) ").unwrap().len(), 2);
    for (text, span) in [("int int", 4..5), ("", 0..0), ("int |", 5..5), ("inte", 0..4)] {
        assert_eq!(parse_pipes(text).unwrap_err().span, span, "{text}");
    }
}

#[test]
fn sum_starts_an_expression() {
    let template = parse_template("{sum(a, b.c) | add(1)}").unwrap();
    let [Part::Placeholder(expression)] = template.parts.as_slice() else { panic!("{template:?}") };
    assert_eq!(expression.start, Start::Sum(vec![line(vec![key("a")]), line(vec![key("b"), key("c")])]));
}

#[test]
fn a_fault_of_a_template_names_its_place_and_its_cure() {
    #[track_caller]
    fn check(text: &str, faulty: &str, message: &str, hint: &str) {
        let fault = parse_template(text).unwrap_err();
        assert_eq!(&text[fault.span.clone()], faulty, "{fault:?}");
        assert!(fault.message.contains(message), "{fault:?}");
        assert!(fault.hint.clone().unwrap_or_default().contains(hint), "{fault:?}");
    }
    check("{a | itn}", "itn", "no pipe `itn`", "did you mean `int`?");
    check("{a | frobnicate}", "frobnicate", "no pipe", "the pipes are str, int");
    check("{a", "{a", "never closed", "{{");
    check("{", "{", "never closed", "{{");
    check("x {} y", "{}", "placeholder is empty", "{org_id}");
    check("a } b", "}", "closes nothing", "}}");
    check("{a b}", "b", "a | or a }", "double quotes");
    check("{a | round('x')}", "'x'", "a whole number", "round(2)");
    check("{a | round(29)}", "29", "0 to 28", "round(2)");
    check("{a | truncate}", "truncate", "one argument, not 0", "truncate(500)");
    check("{a | int(3)}", "int(3)", "takes no argument", "int");
    check("{a | mul('ten')}", "'ten'", "a number or a path", "mul(100)");
    check("{a | div(0)}", "0", "divided by 0", "div(1000)");
    check("{a | duration(weeks)}", "weeks", "ns, us, ms, s, min, h", "duration(ms)");
    check("{a | timestamp('%Y-%m-%d %H:%M:%S')}", "'%Y-%m-%d %H:%M:%S'", "never a guess", "'UTC'");
    check("{a | timestamp('%b %d %H:%M:%S', 'UTC')}", "'%b %d %H:%M:%S'", "lacks a part", "timestamp(");
    check("{a | timestamp('%F %T %z', 'UTC')}", "'UTC'", "from the line already", "timestamp(");
    check("{a | timestamp('%F %T', 'Mars/Base')}", "'Mars/Base'", "no time zone", "UTC");
    check("{a | timestamp('%F %!', 'UTC')}", "'%F %!'", "strptime", "timestamp(");
    check("{a | sum(b)}", "sum(b)", "start of an expression", "{sum(a, b)}");
    check("{sum(a, 3)}", "3", "paths only", "add(1)");
    check("{int(a)}", "int", "does not start", "{path | int(…)}");
    check("{a | lookup(plans, tier)}", "plans", "no lookup table `plans`", "[lookups.plans]");
    check("{a | lookup(plans)}", "lookup(plans)", "takes 2 arguments", "lookup(plans, tier)");
    check("{a | lookup(a.b, tier)}", "a.b", "the name of a table", "lookup(plans, tier)");
    check("{a | hash('k')}", "'k'", "no hash key `k`", "[hash_keys.k]");
    check("{a | hash(1)}", "1", "the name of a key", "hash(people)");
    check("{12x}", "12x", "not a number", "\"12x\"");
    check("{a | default('x}", "'x}", "never closed", "write '");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z{}|()'\"@. \\[\\]0-9é\\\\,%-]{0,40}") {
        if let Err(fault) = parse_template(&text) {
            assert!(text.get(fault.span).is_some());
        }
        if let Err(fault) = parse_path(&text) {
            assert!(text.get(fault.span).is_some());
        }
    }
}
