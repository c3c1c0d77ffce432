//! Sockets and the standard input as sources: what may stand beside them.

use floe::config::settings::{Container, Input, SocketKind, UnixId};

use super::{GOOD, said};

const INCLUDE: &str = "include = [\"/var/log/app/*.log\"]";

#[track_caller]
fn check(input: &str, expected: &[&str]) {
    assert_eq!(said("floe.toml", &GOOD.replacen(INCLUDE, input, 1)), expected, "{input}");
}

#[test]
fn s27_a_socket_and_the_standard_input_are_sources() {
    let text = GOOD.replacen(
        INCLUDE,
        "socket = \"/run/floe/app.sock\"\nsocket_mode = \"0606\"\nsocket_owner = \"root\"\nsocket_group = 33\n\
         allowed_uids = [\"root\", 7]\nack = true\nspool_max_bytes = \"8MiB\"",
        1,
    );
    let settings = floe::config::Settings::from_toml(&format!("state_dir = \"/s\"\n{text}")).unwrap();
    let source = &settings.sources[0];
    let Input::Socket(socket) = &source.input else { panic!("{:?}", source.input) };
    assert_eq!((socket.kind, socket.mode, socket.acknowledges), (SocketKind::Stream, 0o606, true));
    let root = UnixId::Name("root".into());
    assert_eq!((&socket.owner, &socket.group), (&Some(root.clone()), &Some(UnixId::Number(33))));
    assert_eq!(socket.allowed, Some(vec![root, UnixId::Number(7)]));
    assert_eq!((&socket.spool.folder, socket.spool.max_bytes), (&"/s/spool/app".into(), 8 << 20));
    assert_eq!(source.container, Container::Spool);
    assert!(source.files.captures("/s/spool/app/000000000012.spool").is_some());
    for other in
        ["/s/spool/app/a.spool", "/s/spool/app/x/1.spool", "/s/spool/b/1.spool", "/s/spool/app/1.spool.gz"]
    {
        assert!(source.files.captures(other).is_none(), "{other}");
    }
    assert_eq!(settings.without_spool().sources[0].container, Container::None);

    check("stdin = true", &[]);
    check("stdin = true\nspool_max_bytes = \"4MiB\"", &[]);
    check("socket = \"/run/app.sock\"", &[]);
    check("socket = \"app.sock\"\nsocket_type = \"datagram\"\nsocket_mode = \"660\"", &[]);
    check(&format!("{INCLUDE}\nstdin = false"), &[]);
}

#[test]
fn keys_that_exclude_each_other_are_told() {
    check("", &["floe.toml:2:1: fault: the key \"include\" is missing"]);
    check("stdin = false", &["floe.toml:2:1: fault: the key \"include\" is missing"]);
    check(
        &format!("socket = \"/a\"\n{INCLUDE}"),
        &["floe.toml:4:10: fault: \"include\" and \"socket\" exclude each other"],
    );
    check(
        "socket = \"/a\"\nstdin = true",
        &["floe.toml:5:9: fault: \"socket\" and \"stdin\" exclude each other"],
    );
    check(
        &format!("{INCLUDE}\nsocket_mode = \"0660\"\nack = true\nspool_max_bytes = \"4MiB\""),
        &[
            "floe.toml:5:15: fault: \"socket_mode\" belongs to a source with a socket",
            "floe.toml:6:7: fault: \"ack\" belongs to a source with a socket",
            "floe.toml:7:19: fault: \"spool_max_bytes\" belongs to a source with a socket or stdin",
        ],
    );
    check(
        "stdin = true\nsocket_type = \"stream\"\nexclude = [\"/x\"]",
        &[
            "floe.toml:5:15: fault: \"socket_type\" belongs to a source with a socket",
            "floe.toml:6:11: fault: \"exclude\" belongs to a source with include",
        ],
    );
}

#[test]
fn what_makes_no_sense_where_lines_come_in_one_by_one_is_told() {
    check(
        "socket = \"/a\"\ncontainer = \"cri\"\nread_from = \"end\"\nmultiline = { start = \"^x\" }",
        &[
            "floe.toml:5:13: fault: a source with socket has no container",
            "floe.toml:6:13: fault: a source with socket has no read_from",
            "floe.toml:7:13: fault: a source with socket has no multiline: writers interleave",
        ],
    );
    check("stdin = true\ncontainer = \"none\"", &[]);
    let csv = GOOD.replacen(INCLUDE, "stdin = true", 1).replacen(
        "format = \"json\"",
        "format = \"delimited\"\nheader = \"first_line\"",
        1,
    );
    assert_eq!(
        said("floe.toml", &csv),
        ["floe.toml:6:10: fault: a source with stdin has no header that lasts"]
    );
    let rule = GOOD.replacen(INCLUDE, "stdin = true", 1).replacen("{org}", "{@container.stream}", 1);
    let told = said("floe.toml", &rule).join("\n");
    assert!(told.contains("fault") && told.contains("container"), "{told}");
}

#[test]
fn wrong_values_of_a_socket_are_told() {
    check(
        "socket = \"/a\"\nsocket_type = \"seqpacket\"\nsocket_mode = \"0888\"\nsocket_owner = \"\"\nsocket_group = -1\n\
         allowed_uids = []",
        &[
            "floe.toml:5:15: fault: unknown value \"seqpacket\"",
            "floe.toml:6:15: fault: this is no file mode",
            "floe.toml:7:16: fault: expected a text, found an empty one",
            "floe.toml:8:16: fault: -1 is no name or number of a user or group",
            "floe.toml:9:16: fault: with an empty list nobody may write",
        ],
    );
    check(
        "socket = \"/a\"\nsocket_type = \"datagram\"\nack = true",
        &["floe.toml:6:7: fault: nobody hears an answer to a datagram"],
    );
    check("socket = \"/run/\"", &["floe.toml:4:10: fault: \"/run/\" names a folder"]);
    let long = format!("/{}", "x".repeat(95));
    check(
        &format!("socket = \"{long}\""),
        &["floe.toml:4:10: fault: the path has 96 bytes; that of a socket has at most 95"],
    );
    check(
        "stdin = true\nspool_max_bytes = \"3MiB\"",
        &["floe.toml:5:19: fault: a spool of 3MiB is too small"],
    );
}

#[test]
fn each_socket_and_the_standard_input_have_one_source() {
    let second = |input: &str| {
        let first = GOOD.replacen(INCLUDE, input, 1);
        let source = format!("[[sources]]\nid = \"b\"\n{input}\nformat = \"json\"\n[[rules]]");
        said("floe.toml", &first.replacen("[[rules]]", &source, 1))
    };
    assert_eq!(
        second("socket = \"/run/a.sock\""),
        ["floe.toml:9:10: fault: two sources have the socket \"/run/a.sock\""]
    );
    assert_eq!(second("stdin = true"), ["floe.toml:9:9: fault: two sources read the standard input"]);
}
