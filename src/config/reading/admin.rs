//! `[admin]`: where the daemon tells about itself.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::Context;
use crate::config::fault::Fault;
use crate::config::node::Node;
use crate::config::settings::{ADMIN_SOCKET, AdminListen, SOCKET_PATH_MAX_BYTES};
use crate::config::warning::WarningCode;

/// What stands before the path of a Unix socket.
const UNIX: &str = "unix:";

const HINT: &str = "write an address with its port, \"127.0.0.1:9464\"; a Unix socket, \"unix:/run/floe/admin.sock\"; or \"off\"";

/// Without `listen` it is a Unix socket in the state folder, so that `floe status` works with nothing set up.
pub(super) fn read(context: &Context<'_>, state_dir: &Path, node: Option<&Node>) -> AdminListen {
    let default = || AdminListen::Socket(state_dir.join(ADMIN_SOCKET));
    let Some(table) = node.and_then(|node| context.report.open("admin", node)) else { return default() };
    let listen = table.optional("listen");
    let is_public_meant = table.optional("public").and_then(|node| context.report.truth(node)) == Some(true);
    table.finish();
    let Some(node) = listen else { return default() };
    let read = self::listen(context, node).unwrap_or_else(default);
    if let AdminListen::Tcp(address) = read
        && !address.ip().is_loopback()
        && !is_public_meant
    {
        context.report.push(warning(node, address));
    }
    read
}

fn listen(context: &Context<'_>, node: &Node) -> Option<AdminListen> {
    let text = context.report.some_text(node)?;
    if text == "off" {
        return Some(AdminListen::Off);
    }
    if let Some(path) = text.strip_prefix(UNIX) {
        return socket(context, node, path).map(AdminListen::Socket);
    }
    let address = address(text);
    if address.is_none() {
        context.report.push(Fault::at(&node.place, format!("\"{text}\" is no place to listen")).hint(HINT));
    }
    address.map(AdminListen::Tcp)
}

fn socket(context: &Context<'_>, node: &Node, path: &str) -> Option<PathBuf> {
    if path.is_empty() {
        context.report.push(Fault::at(&node.place, "the path of the socket is missing").hint(HINT));
        return None;
    }
    let path = context.folder.join(path);
    let length = path.as_os_str().len();
    if length > SOCKET_PATH_MAX_BYTES {
        let message = format!(
            "the path of the socket has {length} bytes, and the operating system takes {SOCKET_PATH_MAX_BYTES}"
        );
        context.report.push(
            Fault::at(&node.place, message).hint("choose a shorter one: \"unix:/run/floe/admin.sock\""),
        );
        return None;
    }
    Some(path)
}

fn address(text: &str) -> Option<SocketAddr> {
    let of_this_host =
        |port: &str| Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?));
    match text.strip_prefix("localhost:") {
        Some(port) => of_this_host(port),
        None => text.parse().ok(),
    }
}

fn warning(node: &Node, address: SocketAddr) -> Fault {
    let message = format!(
        "whoever can reach {address} can read which files and rules there are, and how much is billed"
    );
    Fault::warning(WarningCode::PublicAdmin, &node.place, message)
        .hint("listen on 127.0.0.1; or, where that is meant (probes and scrapes of a pod), add public = true")
}
