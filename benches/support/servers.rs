//! Servers as processes of their own, and the load that all of them get.

use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use tonic::transport::Channel;

use super::support::check;

/// Ends its process when dropped.
pub struct Server {
    child: Child,
    /// As a URL.
    pub address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// CPU time so far, user and system.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }

    /// Resident memory.
    pub fn memory_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts Picket over `folder/policies`, its decision log in a file.
pub fn picket(folder: &Path) -> Server {
    picket_with(folder, "")
}

/// Starts Picket with more settings, as YAML.
pub fn picket_with(folder: &Path, settings: &str) -> Server {
    start(folder, "picket", env!("CARGO_BIN_EXE_picket"), &["serve", "--config"], settings)
}

/// Starts this program as the server that evaluates nothing, on Picket's own accept loop.
pub fn noop(folder: &Path) -> Server {
    this(folder, "noop", "--serve-nothing")
}

/// Starts this program, which serves by its argument `how`.
pub fn this(folder: &Path, name: &str, how: &str) -> Server {
    start(folder, name, &std::env::current_exe().unwrap().display().to_string(), &[how], "")
}

fn start(folder: &Path, name: &str, program: &str, arguments: &[&str], settings: &str) -> Server {
    let address = format!("127.0.0.1:{}", free_port());
    let config = folder.join(format!("{name}.yaml"));
    let text = format!(
        "listeners: [{{name: bench, address: \"{address}\"}}]\npolicies: {{dir: {folder}/policies}}\n\
         admin: {{http_address: \"127.0.0.1:{}\", grpc_address: \"127.0.0.1:{}\"}}\n\
         telemetry: {{decision_log: {{sink: {{file: {folder}/{name}.log}}}}, log: {{level: error}}}}\n{settings}",
        free_port(),
        free_port(),
        folder = folder.display()
    );
    std::fs::write(&config, text).unwrap();
    let config = config.display().to_string();
    let mut command = Command::new(program);
    command.args(arguments).arg(config);
    Server { child: command.spawn().unwrap(), address: format!("http://{address}") }
}

/// Zipf over callers: rank r has weight 1/r.
pub fn zipf(count: usize, callers: usize) -> Vec<usize> {
    let weights: Vec<f64> = (1..=callers).map(|rank| 1.0 / rank as f64).collect();
    let total: f64 = weights.iter().sum();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let sums: Vec<f64> = weights
        .iter()
        .scan(0.0, |sum, weight| {
            *sum += weight / total;
            Some(*sum)
        })
        .collect();
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    (0..count).map(|_| sums.partition_point(|sum| *sum < next()).min(callers - 1)).collect()
}

/// Waits until a server allows.
pub async fn ready(server: &Server) {
    for _ in 0..600 {
        if let Ok(channel) = Channel::from_shared(server.address.clone()).unwrap().connect().await {
            let answer = AuthorizationClient::new(channel).check(check(0, "ready")).await;
            if answer.is_ok_and(|answer| answer.into_inner().status.is_some_and(|status| status.code == 0)) {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{} does not answer", server.address);
}
