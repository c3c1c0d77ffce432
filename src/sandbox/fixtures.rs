//! Who exists in the sandbox: organizations with their tokens and customers, and people with tokens of their own.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use crate::polar::request::{SCOPE_EVENTS_READ, SCOPE_EVENTS_WRITE};
use crate::polar::resources::{
    SCOPE_CUSTOMER_METERS_READ, SCOPE_CUSTOMERS_READ, SCOPE_CUSTOMERS_WRITE, SCOPE_METERS_READ,
    SCOPE_METERS_WRITE, SCOPE_ORGANIZATIONS_READ,
};
use crate::sandbox::meters;

/// The token of the organization that is there without fixtures. It is no secret: the sandbox listens on this
/// machine and holds nothing, and a token that stays the same makes a restart unnoticed.
pub const DEFAULT_TOKEN: &str = "polar_oat_floe_sandbox";

const DEFAULT_ORGANIZATION: Uuid = Uuid::from_u128(0x0f10e5a6_d0b0_4a5e_8f10_e5a6d0b04a5e);

/// The fixtures file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixtures {
    pub organizations: Vec<Organization>,
    #[serde(default)]
    pub users: Vec<User>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Organization {
    #[serde(deserialize_with = "uuid")]
    pub id: Uuid,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub tokens: Vec<Token>,
    #[serde(default)]
    pub customers: Vec<Customer>,
    #[serde(default)]
    pub meters: Vec<MeterFixture>,
}

/// A meter as `POST /v1/meters/` takes it, with an `id` and `is_archived` where they matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterFixture {
    pub id: Option<Uuid>,
    pub json: serde_json::Value,
}

impl<'de> Deserialize<'de> for MeterFixture {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = serde_json::Value::deserialize(deserializer)?;
        let wrong = |what: &str| serde::de::Error::custom(format!("a meter with a wrong {what}: {json}"));
        let id = json["id"].as_str().map(Uuid::try_parse).transpose().map_err(|_| wrong("id"))?;
        meters::check(&json).map_err(|_| wrong("name, filter or aggregation"))?;
        Ok(Self { id, json })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    pub token: String,
    pub scopes: Vec<String>,
    /// Null is never.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Customer {
    #[serde(deserialize_with = "uuid")]
    pub id: Uuid,
    #[serde(default)]
    pub external_id: Option<String>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub email: Option<String>,
    #[serde(default)]
    pub members: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    #[serde(deserialize_with = "uuid")]
    pub id: Uuid,
    #[serde(default)]
    pub external_id: Option<String>,
}

/// A person with a `polar_pat_…` token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    pub token: String,
    pub scopes: Vec<String>,
    /// Ids of organizations above.
    #[serde(deserialize_with = "uuids")]
    pub organizations: Vec<Uuid>,
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

impl Fixtures {
    /// Reads a fixtures file.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn of_json(json: &str) -> Result<Fixtures, String> {
        let fixtures: Fixtures = serde_json::from_str(json).map_err(|error| error.to_string())?;
        if fixtures.organizations.is_empty() {
            return Err("there is no organization".to_owned());
        }
        let exists = |id: &Uuid| fixtures.organizations.iter().any(|organization| organization.id == *id);
        match fixtures.users.iter().flat_map(|user| &user.organizations).find(|id| !exists(id)) {
            Some(id) => Err(format!("a user is in organization {id}, which does not exist")),
            None => Ok(fixtures),
        }
    }

    /// The first token that may ingest.
    pub fn ingest_token(&self) -> Option<&str> {
        let mut tokens = self.organizations.iter().flat_map(|organization| &organization.tokens);
        let may_ingest = |token: &&Token| {
            token.expires_at.is_none() && token.scopes.iter().any(|scope| scope == SCOPE_EVENTS_WRITE)
        };
        tokens.find(may_ingest).map(|token| token.token.as_str())
    }
}

/// One organization with one token that may do everything here.
impl Default for Fixtures {
    fn default() -> Fixtures {
        let scopes = [
            SCOPE_EVENTS_READ,
            SCOPE_EVENTS_WRITE,
            SCOPE_METERS_READ,
            SCOPE_METERS_WRITE,
            SCOPE_CUSTOMERS_READ,
            SCOPE_CUSTOMERS_WRITE,
            SCOPE_CUSTOMER_METERS_READ,
            SCOPE_ORGANIZATIONS_READ,
        ];
        let scopes = scopes.map(str::to_owned).to_vec();
        let token = Token { token: DEFAULT_TOKEN.to_owned(), scopes, expires_at: None };
        let organization = Organization {
            id: DEFAULT_ORGANIZATION,
            name: None,
            tokens: vec![token],
            customers: Vec::new(),
            meters: Vec::new(),
        };
        Fixtures { organizations: vec![organization], users: Vec::new() }
    }
}

/// The place of an organization in the fixtures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrganizationIndex(pub u16);

/// What a token may do.
#[derive(Debug, Clone)]
pub struct Access {
    pub scopes: Vec<String>,
    pub expires_at: Option<Timestamp>,
    pub holder: Holder,
}

/// Whose token it is.
#[derive(Debug, Clone)]
pub enum Holder {
    Organization(OrganizationIndex),
    User(Vec<OrganizationIndex>),
}

impl Holder {
    pub fn organizations(&self) -> &[OrganizationIndex] {
        match self {
            Holder::Organization(organization) => std::slice::from_ref(organization),
            Holder::User(organizations) => organizations,
        }
    }
}

/// The fixtures, arranged for looking up.
#[derive(Clone)]
pub struct Directory {
    organizations: Vec<Organization>,
    tokens: HashMap<String, Access>,
}

impl Directory {
    pub fn new(fixtures: Fixtures) -> Directory {
        let index_of = |id: &Uuid| {
            let place = fixtures.organizations.iter().position(|organization| organization.id == *id);
            place.and_then(|place| u16::try_from(place).ok()).map(OrganizationIndex)
        };
        let mut tokens = HashMap::new();
        for organization in &fixtures.organizations {
            for Token { token, scopes, expires_at } in &organization.tokens {
                let Some(index) = index_of(&organization.id) else { continue };
                let holder = Holder::Organization(index);
                tokens.insert(
                    token.clone(),
                    Access { scopes: scopes.clone(), expires_at: *expires_at, holder },
                );
            }
        }
        for User { token, scopes, organizations, expires_at } in &fixtures.users {
            let holder = Holder::User(organizations.iter().filter_map(index_of).collect());
            tokens.insert(token.clone(), Access { scopes: scopes.clone(), expires_at: *expires_at, holder });
        }
        Directory { organizations: fixtures.organizations, tokens }
    }

    pub fn access(&self, token: &str) -> Option<&Access> {
        self.tokens.get(token)
    }

    pub fn organization(&self, index: OrganizationIndex) -> &Organization {
        &self.organizations[usize::from(index.0)]
    }

    pub fn add_customer(&mut self, index: OrganizationIndex, customer: Customer) {
        self.organizations[usize::from(index.0)].customers.push(customer);
    }

    pub fn indexes(&self) -> impl Iterator<Item = OrganizationIndex> {
        (0..self.organizations.len()).filter_map(|place| u16::try_from(place).ok()).map(OrganizationIndex)
    }

    pub fn index_of(&self, id: Uuid) -> Option<OrganizationIndex> {
        let place = self.organizations.iter().position(|organization| organization.id == id)?;
        u16::try_from(place).ok().map(OrganizationIndex)
    }
}

impl Organization {
    pub fn customer(&self, id: Uuid) -> Option<&Customer> {
        self.customers.iter().find(|customer| customer.id == id)
    }

    pub fn customer_by_external_id(&self, external_id: &str) -> Option<&Customer> {
        self.customers.iter().find(|customer| customer.external_id.as_deref() == Some(external_id))
    }
}

fn uuid<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    let text = String::deserialize(deserializer)?;
    Uuid::try_parse(&text).map_err(|error| serde::de::Error::custom(format!("{text:?} is no UUID: {error}")))
}

fn uuids<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Uuid>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let parse = |text: String| {
        Uuid::try_parse(&text)
            .map_err(|error| serde::de::Error::custom(format!("{text:?} is no UUID: {error}")))
    };
    texts.into_iter().map(parse).collect()
}
