//! What the name of a field says of what stands in it. A name is a guess: so each list is short, and words that make a
//! quantity or an id of the thing (`prompt_tokens`, `email_id`) take it out.

use crate::config::language::{Path, Root, Step};

/// A name in words: `x-org-id`, `xOrgId` and `X_ORG_ID` are `["x", "org", "id"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    words: Vec<String>,
}

impl Name {
    pub fn new(text: &str) -> Self {
        let mut words: Vec<String> = Vec::new();
        let mut word = String::new();
        let characters: Vec<char> = text.chars().collect();
        for (at, character) in characters.iter().enumerate() {
            let before = at.checked_sub(1).map(|before| characters[before]);
            let after = characters.get(at + 1);
            let begins = character.is_uppercase()
                && before.is_some_and(|before| {
                    before.is_lowercase()
                        || (before.is_uppercase() && after.is_some_and(|after| after.is_lowercase()))
                });
            if !character.is_alphanumeric() || begins {
                words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
            }
            if character.is_alphanumeric() {
                word.extend(character.to_lowercase());
            }
        }
        words.extend(Some(word).filter(|word| !word.is_empty()));
        Self { words }
    }

    pub fn joined(&self) -> String {
        self.words.join("_")
    }

    /// Whether one of its words is among these.
    fn has(&self, any: &str) -> bool {
        any.split(' ').any(|wanted| self.words.iter().any(|word| word == wanted))
    }

    /// Whether a meter would sum it.
    pub fn is_quantity(&self) -> bool {
        const QUANTITIES: &str = "units count counts tokens bytes kb mb gb kib mib gib amount duration elapsed latency took \
             ms msec msecs millis milliseconds usec micros nanos seconds secs minutes hours quantity \
             qty total sum size length price cost credits calls requests pages characters chars seats";
        const TIMES: &str = "request response processing taken execution run cpu";
        let measures_time = self.has("time") && self.has(TIMES);
        !self.is_a_label() && (measures_time || (self.has(QUANTITIES) && !self.has("time")))
    }

    /// Whether it is the name of a thing and no number of them, whatever else stands in it.
    pub fn is_a_label(&self) -> bool {
        const LABELS: &str = "type unit name class id ids kind label currency tier bucket range mode status model format \
             policy code plan at date key hash group category tag version method per";
        self.has(LABELS)
    }

    /// What it tells of a person.
    pub fn personal(&self) -> Option<Personal> {
        const ABOUT_IT: &str = "count tokens token bytes length size hash hashed sha256 md5 verified domain type enabled \
             status valid sent version ms cost price id ids";
        const OF_MACHINES: &str = "server upstream pod node local bind listen mac memory backend";
        if self.has(ABOUT_IT) {
            return None;
        }
        let joined = self.joined();
        let ends_with =
            |name: &str| joined.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'));
        let by_word = PERSONAL_WORDS.iter().find(|(_, words)| self.has(words));
        let by_ending = || PERSONAL_ENDINGS.iter().find(|(_, names)| names.split(' ').any(ends_with));
        let (personal, _) = by_word.or_else(by_ending)?;
        let of_a_machine = matches!(personal, Personal::Ip | Personal::Address) && self.has(OF_MACHINES);
        (!of_a_machine).then_some(*personal)
    }
}

/// A name that has one of these words in it.
const PERSONAL_WORDS: &[(Personal, &str)] = &[
    (Personal::Email, "email emails"),
    (Personal::Phone, "phone telephone msisdn"),
    (Personal::Ip, "ip ips ipv4 ipv6 clientip remoteip"),
];

/// A name that ends so.
const PERSONAL_ENDINGS: &[(Personal, &str)] = &[
    (Personal::Email, "mail e_mail"),
    (Personal::Phone, "mobile_number"),
    (
        Personal::Ip,
        "forwarded_for remote_host client_host remote_addr remote_address client_addr client_address",
    ),
    (Personal::Ip, "peer_addr peer_address"),
    (Personal::Address, "address street postal_code postcode zip_code"),
    (
        Personal::Name,
        "first_name last_name full_name given_name family_name middle_name real_name display_name",
    ),
    (Personal::Name, "firstname lastname fullname surname nickname username user_name"),
    (Personal::Name, "date_of_birth birthday birthdate"),
    (
        Personal::Words,
        "prompt prompts messages content contents transcript utterance question answer body payload",
    ),
    (Personal::UserAgent, "user_agent useragent ua"),
    (Personal::Referer, "referer referrer"),
    (
        Personal::Url,
        "url href request_uri request_target http_target original_path query query_string querystring",
    ),
];

/// What a value may tell of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Personal {
    Email,
    Phone,
    Ip,
    Address,
    Name,
    Words,
    UserAgent,
    Referer,
    Url,
    /// Somebody who knows says so, and not what it is.
    Person,
}

impl Personal {
    pub fn what(self) -> &'static str {
        match self {
            Self::Email => "an e-mail address",
            Self::Phone => "a phone number",
            Self::Ip => "an IP address",
            Self::Address => "an address",
            Self::Name => "a person's name",
            Self::Words => "what somebody wrote or was answered",
            Self::UserAgent => "a browser, which with other values tells one person",
            Self::Referer => "the page that somebody came from",
            Self::Url => "a URL with its query, where tokens and search words stand",
            Self::Person => "what the preset says tells of a person",
        }
    }

    pub fn cure(self) -> &'static str {
        match self {
            Self::Ip => "cut it short with `| mask_ip`, or leave it out",
            Self::Url | Self::Referer => "keep the path alone with `| path_only`, or leave it out",
            Self::Email | Self::Phone | Self::Name => {
                "hash it with `| hash(key)`, or leave it out: external_member_id tells by an id who it was"
            }
            Self::Address | Self::Words | Self::UserAgent | Self::Person => "leave it out",
        }
    }
}

/// The names that a path goes through: keys of the line, or a capture.
pub(crate) fn keys(path: &Path) -> Vec<&str> {
    if let Root::PathCapture(name) = &path.root {
        return vec![name];
    }
    path.steps
        .iter()
        .filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
        .collect()
}

/// The last name of a path, and the same with the one before: `user.name` is a `user_name`.
pub(crate) fn last_names(path: &Path) -> Vec<Name> {
    let keys = keys(path);
    // OpenTelemetry and others have dots inside of keys.
    let words: Vec<&str> = keys.iter().flat_map(|key| key.split('.')).collect();
    let Some((last, before)) = words.split_last() else { return Vec::new() };
    let with_parent = before.last().map(|parent| Name::new(&format!("{parent}_{last}")));
    std::iter::once(Name::new(last)).chain(with_parent).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_its_words() {
        for name in ["x-org-id", "xOrgId", "X_ORG_ID", "x.org..id", "XOrgID"] {
            assert_eq!(Name::new(name).joined(), "x_org_id", "{name}");
        }
        assert_eq!(Name::new("HTTPStatus").joined(), "http_status");
    }

    #[test]
    fn quantities_are_told_from_what_only_names_them() {
        for name in
            ["units", "bodyBytesSent", "total_tokens", "duration_ms", "request_time", "Content-Length"]
        {
            assert!(Name::new(name).is_quantity(), "{name}");
        }
        for name in
            ["unit", "token", "size_class", "cost_currency", "total_type", "time", "start_time", "status"]
        {
            assert!(!Name::new(name).is_quantity(), "{name}");
        }
    }

    #[test]
    fn personal_names_are_told_from_what_is_about_them() {
        use Personal::{Email, Ip, Name as PersonsName, Url, UserAgent, Words};
        for (name, wanted) in [
            ("userEmail", Some(Email)),
            ("client_ip", Some(Ip)),
            ("http_x_forwarded_for", Some(Ip)),
            ("ip", Some(Ip)),
            ("http_user_agent", Some(UserAgent)),
            ("request_uri", Some(Url)),
            ("url", Some(Url)),
            ("first_name", Some(PersonsName)),
            ("messages", Some(Words)),
            ("system_prompt", Some(Words)),
            ("prompt_tokens", None),
            ("content_type", None),
            ("content_length", None),
            ("email_verified", None),
            ("message_id", None),
            ("upstream_addr", None),
            ("server_ip", None),
            ("uri", None),
            ("route", None),
            ("zip", None),
            ("name", None),
        ] {
            assert_eq!(Name::new(name).personal(), wanted, "{name}");
        }
    }
}
