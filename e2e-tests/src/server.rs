//! The binary as a process: started, asked, stopped, killed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver as Lines, channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::client::Client;
use crate::wait::{PATIENCE, eventually};

/// Of the log of a server whose test failed.
const LOG_LINES_SHOWN: usize = 20;

/// The binary under test.
///
/// # Panics
///
/// When it is not there.
#[must_use]
pub fn binary() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/ci/renkei");
    let path = std::env::var_os("RENKEI_BIN").map_or(built, PathBuf::from);
    assert!(
        path.is_file(),
        "the binary {} is not there; build it with `cargo build --profile ci -p renkei`, or name another in RENKEI_BIN",
        path.display()
    );
    path
}

/// The binary with these arguments; settings of the test run's own environment are kept from it.
#[must_use]
pub fn command(arguments: &[&str]) -> Command {
    clean(Command::new(binary()), arguments)
}

fn clean(mut command: Command, arguments: &[&str]) -> Command {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("RENKEI_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// How a command ended and what it said.
#[derive(Debug, Clone)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs a command of the binary to its end.
///
/// # Panics
///
/// When it cannot be started.
#[must_use]
pub fn run(arguments: &[&str]) -> Ended {
    let output = command(arguments).output().expect("the binary can be started");
    Ended {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Sends a signal (`TERM`, `INT`) to a process.
pub fn signal(pid: u32, name: &str) {
    let _ = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status();
}

/// A running server; it is killed when this is dropped.
pub struct Server {
    child: Child,
    address: String,
    lines: Lines<String>,
    out: Arc<Mutex<String>>,
    log: Arc<Mutex<String>>,
}

impl Server {
    /// `renkei serve` on a data folder, ready.
    #[must_use]
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// With further arguments; notifications may always go to this machine.
    ///
    /// # Panics
    ///
    /// When it does not become ready.
    #[must_use]
    pub fn start_with(data: &Path, further: &[&str]) -> Self {
        match Self::try_start(data, further) {
            Ok(server) => server,
            Err(ended) => panic!("the server did not become ready: {ended:?}"),
        }
    }

    /// A server, or how it ended instead of becoming ready.
    pub fn try_start(data: &Path, further: &[&str]) -> Result<Self, Ended> {
        let mut server = Self::launch(&serve_arguments(data, further));
        server.wait_until_ready().map(|()| server)
    }

    /// Starts a command and waits for nothing.
    #[must_use]
    pub fn launch(arguments: &[&str]) -> Self {
        Self::spawn(command(arguments))
    }

    /// Starts a program that ends in running the binary, such as one of another root, and waits for nothing.
    #[must_use]
    pub fn launch_program(program: &str, arguments: &[&str]) -> Self {
        Self::spawn(clean(Command::new(program), arguments))
    }

    /// Starts `renkei serve` through another program (`unshare …`) that ends in running it.
    pub fn try_start_through(program: &str, before: &[&str], data: &Path, further: &[&str]) -> Result<Self, Ended> {
        let binary = binary();
        let mut arguments = before.to_vec();
        let shown = binary.to_string_lossy();
        arguments.push(&shown);
        let serve = serve_arguments(data, further);
        arguments.extend(serve);
        let mut server = Self::spawn(clean(Command::new(program), &arguments));
        server.wait_until_ready().map(|()| server)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the binary can be started");
        let (out, log) = (Arc::new(Mutex::new(String::new())), Arc::new(Mutex::new(String::new())));
        let (sender, lines) = channel();
        let stdout = child.stdout.take().expect("its output is ours");
        let all = Arc::clone(&out);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                note(&all, &line);
                // Nobody reads on once it is ready; it is kept all the same.
                let _ = sender.send(line);
            }
        });
        let stderr = child.stderr.take().expect("its log is ours");
        let all = Arc::clone(&log);
        std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| note(&all, &line));
        });
        Self { child, address: String::new(), lines, out, log }
    }

    /// Waits for the line `ready http://…`, or `https`.
    pub fn wait_until_ready(&mut self) -> Result<(), Ended> {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    let address = line.strip_prefix("ready ").and_then(|url| url.split_once("://"));
                    if let Some((_, address)) = address {
                        self.address = address.to_owned();
                        return Ok(());
                    }
                }
                Err(_) => {
                    let hung = self.child.try_wait().ok().flatten().is_none();
                    let _ = self.child.kill();
                    let code = self.child.wait().ok().and_then(|status| status.code());
                    // Its last words may still be on their way.
                    std::thread::sleep(std::time::Duration::from_millis(50));
                    let mut err = self.log();
                    if hung {
                        err.push_str("(neither ready nor ended)\n");
                    }
                    return Err(Ended { code, out: self.out(), err });
                }
            }
        }
    }

    /// `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&self.address)
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens for MQTT.
    ///
    /// # Panics
    ///
    /// When it was not asked to.
    #[must_use]
    pub fn mqtt(&self) -> String {
        let out = self.out();
        let line = out.lines().find_map(|line| line.strip_prefix("mqtt ")).expect("it said where");
        line.split_once("://").expect("an address").1.to_owned()
    }

    /// What it printed so far.
    #[must_use]
    pub fn out(&self) -> String {
        self.out.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Resident memory in bytes, from `/proc`.
    ///
    /// # Panics
    ///
    /// When the system does not say.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("/proc tells of the server");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS is told");
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().expect("VmRSS is a number");
        kib * 1024
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Stops the process where it stands, does something with what it left on the disk, and kills it:
    /// what its mount namespace holds goes with it.
    pub fn kill_after(&mut self, look: impl FnOnce()) {
        signal(self.pid(), "STOP");
        look();
        self.kill();
    }

    /// Sends a signal and waits for the end.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub fn stop_with(&mut self, name: &str) -> ExitStatus {
        signal(self.pid(), name);
        self.wait_for_end()
    }

    /// SIGTERM, and a good end.
    ///
    /// # Panics
    ///
    /// When it ends otherwise.
    #[track_caller]
    pub fn stop(mut self) {
        let status = self.stop_with("TERM");
        assert!(status.success(), "the server ended with {status}: {}", self.log());
    }

    pub fn wait_for_end(&mut self) -> ExitStatus {
        eventually("the server has ended", || self.child.try_wait().expect("the child can be asked"))
    }

    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().ok().flatten().is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let log = self.log();
        if std::thread::panicking() && !log.is_empty() {
            let from = log.lines().count().saturating_sub(LOG_LINES_SHOWN);
            let end: Vec<&str> = log.lines().skip(from).collect();
            println!("--- the end of the server's log ---\n{}", end.join("\n"));
        }
        self.kill();
    }
}

fn serve_arguments<'a>(data: &'a Path, further: &[&'a str]) -> Vec<&'a str> {
    let data = data.to_str().expect("the folder's name is text");
    let mut arguments = vec!["serve", "--data", data, "--outbound-allow", "127.0.0.0/8", "--log", "info"];
    if !further.contains(&"--listen") {
        arguments.extend(["--listen", "127.0.0.1:0"]);
    }
    // Who asks is asked in the tests that are about it.
    if !further.contains(&"--auth") {
        arguments.extend(["--auth", "off"]);
    }
    arguments.extend(further);
    arguments
}

fn note(all: &Mutex<String>, line: &str) {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.push_str(line);
    all.push('\n');
}
