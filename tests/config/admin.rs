//! `[admin]`: where the daemon tells about itself.

use floe::config::Settings;
use floe::config::settings::AdminListen;

use super::{GOOD, said};

fn listen(admin: &str) -> AdminListen {
    Settings::from_toml(&format!("state_dir = \"/s\"\n{GOOD}\n{admin}")).unwrap().admin
}

#[test]
fn it_listens_at_an_address_a_socket_or_nowhere() {
    let socket = |path: &str| AdminListen::Socket(path.into());
    let tcp = |address: &str| AdminListen::Tcp(address.parse().unwrap());
    for (admin, expected) in [
        ("", socket("/s/admin.sock")),
        ("[admin]", socket("/s/admin.sock")),
        ("[admin]\nlisten = \"off\"", AdminListen::Off),
        ("[admin]\nlisten = \"unix:/run/floe/admin.sock\"", socket("/run/floe/admin.sock")),
        ("[admin]\nlisten = \"127.0.0.1:9464\"", tcp("127.0.0.1:9464")),
        ("[admin]\nlisten = \"localhost:9464\"", tcp("127.0.0.1:9464")),
        ("[admin]\nlisten = \"[::1]:9464\"", tcp("[::1]:9464")),
        ("[admin]\nlisten = \"0.0.0.0:9464\"\npublic = true", tcp("0.0.0.0:9464")),
    ] {
        assert_eq!(listen(admin), expected, "{admin}");
    }
}

#[track_caller]
fn check(listen: &str, expected: &[&str]) {
    let admin = format!("[admin]\nlisten = \"{listen}\"");
    let line = GOOD.lines().count() + 2;
    let expected: Vec<String> = expected.iter().map(|what| format!("floe.toml:{line}:10: {what}")).collect();
    assert_eq!(
        said("floe.toml", &format!("{}\n{admin}\n", GOOD.trim_end_matches('\n'))),
        expected,
        "{listen}"
    );
}

#[test]
fn what_is_no_place_to_listen_is_told_and_what_is_public_is_warned_of() {
    for place in ["9464", "127.0.0.1", "example.com:9464", "127.0.0.1:99999", "/run/floe/admin.sock"] {
        check(place, &[&format!("fault: \"{place}\" is no place to listen")]);
    }
    check("unix:", &["fault: the path of the socket is missing"]);
    let long = format!("unix:/{}", "x".repeat(100));
    check(&long, &["fault: the path of the socket has 101 bytes, and the operating system takes 95"]);
    for address in ["0.0.0.0:9464", "10.0.0.7:9464", "[::]:9464"] {
        let what = "can read which files and rules there are, and how much is billed";
        check(address, &[&format!("warning[public_admin]: whoever can reach {address} {what}")]);
    }
    check("127.0.0.5:9464", &[]);
}
