//! TLS: what listens beyond the machine is secured, by a certificate that can be renewed while it runs.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::path::Path;
use std::process::Command;

use e2e_tests::{Server, command, eventually};

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl is there");
    assert!(output.status.success(), "{output:?}");
}

/// A certificate for this machine under an authority of the test's own; `serial` tells one from another.
fn certificate(folder: &Path, name: &str, serial: &str) {
    if !folder.join("ca.pem").exists() {
        let subject = ["-subj", "/CN=test authority", "-days", "2", "-nodes", "-keyout", "ca.key", "-out", "ca.pem"];
        openssl(
            folder,
            &[&["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"][..], &subject].concat(),
        );
    }
    let (key, request, cert) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
    std::fs::write(folder.join("san"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
    openssl(
        folder,
        &[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-subj",
            "/CN=localhost",
            "-keyout",
            &key,
            "-out",
            &request,
        ],
    );
    openssl(
        folder,
        &[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-set_serial",
            serial,
            "-days",
            "2",
            "-extfile",
            "san",
            "-out",
            &cert,
        ],
    );
}

#[test]
fn a_server_with_a_certificate_speaks_tls_alone_and_takes_in_a_renewed_one() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path(), "server", "4711");
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let data = folder.path().join("city");
    let server = Server::start_with(
        &data,
        &["--auth", "on", "--tls-cert", &path("server.pem"), "--tls-key", &path("server.key")],
    );
    let (address, token) = (server.address().to_owned(), path("city/keys/operator.token"));
    let ask = |url: &str, trusted: bool| {
        let mut asking = command(&["query", "--type", "Nothing", "--count", "--url", url, "--token-file", &token]);
        if trusted {
            asking.env("SSL_CERT_FILE", path("ca.pem"));
        }
        asking.output().unwrap()
    };
    let answered = ask(&format!("https://{address}"), true);
    assert!(answered.status.success(), "{answered:?}");
    let refused = ask(&format!("https://{address}"), false);
    assert!(!refused.status.success(), "a certificate of an unknown authority was taken");
    let plain = ask(&format!("http://{address}"), true);
    assert!(!plain.status.success(), "it was answered in the clear");

    let serial = || {
        let script = format!("echo | openssl s_client -connect {address} 2>/dev/null | openssl x509 -noout -serial");
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(serial(), "serial=1267");
    // Half of a renewal is no good, and the old one stays.
    certificate(folder.path(), "next", "4712");
    std::fs::copy(path("next.pem"), path("server.pem")).unwrap();
    eventually("the half renewal was looked at", || server.log().contains("the old one stays").then_some(()));
    assert_eq!(serial(), "serial=1267");
    std::fs::copy(path("next.key"), path("server.key")).unwrap();
    eventually("the renewed certificate is shown", || (serial() == "serial=1268").then_some(()));
    assert!(ask(&format!("https://{address}"), true).status.success());
}

#[test]
fn nobody_listens_beyond_the_machine_in_the_clear_by_accident() {
    let folder = tempfile::tempdir().unwrap();
    let try_start =
        |further: &[&str]| Server::try_start(folder.path(), &[&["--listen", "0.0.0.0:0"], further].concat());
    let refused = try_start(&["--auth", "on"]).err().unwrap();
    assert!(refused.err.contains("--tls-cert"), "{refused:?}");
    let refused = try_start(&["--auth", "off", "--plain-http"]).err().unwrap();
    assert!(refused.err.contains("--auth off"), "{refused:?}");
    let behind_a_proxy = try_start(&["--auth", "on", "--plain-http"]).unwrap();
    assert_eq!(behind_a_proxy.client().get("/ngsi-ld/v1/types").status, 401);
    behind_a_proxy.stop();
    let file = folder.path().join("none.pem");
    std::fs::write(&file, "no certificate").unwrap();
    let file = file.to_str().unwrap();
    let refused = try_start(&["--auth", "on", "--tls-cert", file, "--tls-key", file]).err().unwrap();
    assert!(refused.err.contains("SRV-016"), "{refused:?}");
}

#[test]
fn mqtt_speaks_tls_alone_with_the_same_certificate() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path(), "server", "4711");
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let data = folder.path().join("city");
    let (cert, key) = (path("server.pem"), path("server.key"));
    let further = ["--auth", "on", "--tls-cert", &cert, "--tls-key", &key, "--mqtt", "127.0.0.1:0"];
    let server = Server::start_with(&data, &further);
    let token = std::fs::read_to_string(data.join("keys/operator.token")).unwrap();
    let address = server.mqtt();
    let (_, port) = address.rsplit_once(':').unwrap();
    let publish = |tls: &[&str]| {
        let told =
            ["-h", "127.0.0.1", "-p", port, "-u", "anybody", "-P", token.trim(), "-q", "1", "-t", "a", "-m", "x"];
        Command::new("mosquitto_pub").args(told).args(tls).output().expect("mosquitto-clients is installed")
    };
    let taken = publish(&["--cafile", &path("ca.pem")]);
    assert!(taken.status.success(), "{taken:?}");
    let plain = publish(&[]);
    assert!(!plain.status.success(), "it was answered in the clear: {plain:?}");
    server.stop();
}
