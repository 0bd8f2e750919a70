//! The Debian package: made from a built binary, installed into a fresh root, served from there,
//! and removed again. What a machine has no tool for is skipped aloud.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use e2e_tests::{ENTITIES, Server, binary, skipped};
use serde_json::json;
use tempfile::TempDir;

/// Of 10 for a service without any fence; `docs/operating/install.md` says what it is.
const EXPOSURE_MAX_TENTHS: &str = "15";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn has(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
        !found.is_ok_and(|found| found.status.success())
    });
    match missing {
        None => true,
        Some(program) => {
            skipped(&format!("{program} is not here"));
            false
        }
    }
}

#[track_caller]
fn run(program: &str, arguments: &[&str]) -> String {
    let output = output(program, arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let wrong = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?} ended with {}: {said}{wrong}", output.status);
    said + &wrong
}

fn output(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// The package of the binary under test.
fn package(into: &Path) -> PathBuf {
    let made = Command::new(root().join("tools/package.sh")).arg(into).env("RENKEI_BIN", binary()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    PathBuf::from(String::from_utf8(made.stdout).unwrap().trim())
}

#[test]
fn the_package_holds_what_it_promises_and_the_same_binary_makes_the_same_package() {
    if !has(&["dpkg-deb", "dpkg", "objdump", "strip", "gzip"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let made = package(&folder.path().join("a"));
    let again = package(&folder.path().join("b"));
    assert!(std::fs::read(&made).unwrap() == std::fs::read(&again).unwrap(), "two packages of one binary differ");
    let made = made.to_str().unwrap();
    let information = run("dpkg-deb", &["--info", made]);
    for field in ["Package: renkei", "Version: ", "Depends: libc6 (>= ", "Maintainer: ", "conffiles", "postinst"] {
        assert!(information.contains(field), "{field} is not in {information}");
    }
    let contents = run("dpkg-deb", &["--contents", made]);
    for file in [
        "./usr/bin/renkei",
        "./usr/lib/systemd/system/renkei.service",
        "./etc/renkei.toml",
        "./usr/share/bash-completion/completions/renkei",
        "./usr/share/zsh/vendor-completions/_renkei",
        "./usr/share/fish/vendor_completions.d/renkei.fish",
        "./usr/share/doc/renkei/copyright",
        "./usr/share/doc/renkei/changelog.gz",
    ] {
        assert!(contents.lines().any(|line| line.ends_with(file)), "{file} is not in\n{contents}");
    }
    for line in contents.lines() {
        let owned = line.contains(" root/root ");
        // The last of the nine: whether others may write.
        assert!(owned && line.as_bytes()[8] == b'-', "others may change {line}");
    }
}

/// Copies a program of this machine into the root, with the libraries that it asks for.
fn bring(program: &Path, root: &Path) {
    let mut files = vec![program.to_owned()];
    let libraries = run("ldd", &[program.to_str().unwrap()]);
    files.extend(libraries.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from));
    for file in files {
        let target = root.join(file.strip_prefix("/").unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&file, &target).unwrap();
    }
}

/// A root with a shell, the libraries that the package depends on, and an empty register of packages.
fn fresh_root() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for folder in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "tmp", "dev", "etc"] {
        std::fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    std::fs::write(root.path().join("var/lib/dpkg/status"), "").unwrap();
    std::fs::write(root.path().join("dev/null"), "").unwrap();
    bring(Path::new("/bin/sh"), root.path());
    // What the binary needs; the binary itself comes with the package.
    let own = binary().canonicalize().unwrap();
    bring(&own, root.path());
    std::fs::remove_file(root.path().join(own.strip_prefix("/").unwrap())).unwrap();
    root
}

#[test]
fn it_installs_into_a_fresh_root_serves_there_and_leaves_the_data_when_it_goes() {
    if !has(&["dpkg", "dpkg-deb", "objdump", "strip", "chroot", "ldd"]) {
        return;
    }
    if run("id", &["-u"]).trim() != "0" {
        return skipped("only root may install into another root");
    }
    let folder = tempfile::tempdir().unwrap();
    let made = package(folder.path());
    let fresh = fresh_root();
    let inside = fresh.path().to_str().unwrap();
    let into = format!("--root={inside}");
    // The register is empty, so nothing that it depends on is known to be there.
    let install = ["--force-depends", "--force-confold", &into, "--install", made.to_str().unwrap()];
    let said = run("dpkg", &install);
    assert!(said.contains("installed and not started"), "{said}");
    assert!(run("chroot", &[inside, "/usr/bin/renkei", "--version"]).starts_with("renkei "));

    let config = fresh.path().join("etc/renkei.toml");
    let serve = [inside, "/usr/bin/renkei", "--config", "/etc/renkei.toml", "serve", "--listen", "127.0.0.1:0"];
    let mut server = Server::launch_program("chroot", &serve);
    server.wait_until_ready().unwrap();
    let entity = json!({"id": "urn:ngsi-ld:Thing:1", "type": "Thing"});
    let token = fresh.path().join("var/lib/renkei/keys/operator.token");
    let operator = || std::fs::read_to_string(&token).unwrap().trim().to_owned();
    // As it is installed, it asks who is there.
    let _ = server.client().post(ENTITIES, &entity).expect(401);
    let _ = server.client().token(&operator()).post(ENTITIES, &entity).expect(201);
    server.stop();

    // An upgrade keeps what the operator wrote, and the city goes on.
    let own = std::fs::read_to_string(&config).unwrap().replace("#body-mib = 16", "body-mib = 32");
    std::fs::write(&config, &own).unwrap();
    run("dpkg", &install);
    assert_eq!(std::fs::read_to_string(&config).unwrap(), own);
    let mut server = Server::launch_program("chroot", &serve);
    server.wait_until_ready().unwrap();
    let _ = server.client().token(&operator()).get(&format!("{ENTITIES}/urn:ngsi-ld:Thing:1")).expect(200);
    server.stop();

    run("dpkg", &[&into, "--remove", "renkei"]);
    assert!(config.exists() && !fresh.path().join("usr/bin/renkei").exists());
    let said = run("dpkg", &[&into, "--purge", "renkei"]);
    assert!(said.contains("still in /var/lib/renkei"), "{said}");
    assert!(!config.exists() && fresh.path().join("var/lib/renkei/FORMAT").exists());
}

#[test]
fn the_service_is_fenced_in_and_systemd_understands_it() {
    if !has(&["systemd-analyze"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let unit = std::fs::read_to_string(root().join("packaging/renkei.service")).unwrap();
    assert!(unit.contains("ExecStart=/usr/bin/renkei --config /etc/renkei.toml serve\n"));
    // The check wants the program to be where the unit says.
    let unit = unit.replace("=/usr/bin/renkei", &format!("={}", binary().display()));
    let path = folder.path().join("renkei.service");
    std::fs::write(&path, unit).unwrap();
    let path = path.to_str().unwrap();
    let said = run("systemd-analyze", &["--man=no", "verify", path]);
    assert!(said.trim().is_empty(), "{said}");
    let threshold = format!("--threshold={EXPOSURE_MAX_TENTHS}");
    let table = run("systemd-analyze", &["security", "--offline=true", "--no-pager", &threshold, path]);
    println!("{}", table.lines().last().unwrap_or_default());
}
