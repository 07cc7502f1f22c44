//! The program under measurement, and what the kernel knows of it.

use std::{
    fmt::Write as _,
    fs::File,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use sluicegate_tests::{
    host::root,
    process::{Program, cpu},
    stand_in::StandIn,
};

use crate::{CORE, case::Case, collector::Collector};

pub(crate) struct Host {
    program: Program,
    child: Child,
}

impl Host {
    /// Starts `run` for a case, on its core or on both.
    pub(crate) fn start(case: &Case, aws: &StandIn, collector: &Collector) -> Self {
        let program = Program::new(|folder| {
            let token = folder.join("token");
            std::fs::write(&token, "6e2cc5a4-55a0-4f5f-9e3c-1f5d7e0f4f6d").unwrap();
            let mut text = format!(
                "{}[limits]\nworkers = {}\nmessages = {}\n[sinks.splunk]\ntype = \"splunk_hec\"\nendpoint = \"{}\"\n\
                 token_file = \"{}\"\ncompression = \"{}\"\n\
                 delivery = {{ requests_per_second = 10000, burst = 10000, concurrency = 4 }}\n",
                aws.source(),
                case.workers,
                case.messages,
                collector.url(),
                token.display(),
                case.compression,
            );
            for (place, name, configuration) in case.plugins() {
                let path = root()
                    .join("dist")
                    .join(place)
                    .join(name)
                    .with_extension("wasm");
                write!(
                    text,
                    "[plugins.{name}]\npath = \"{}\"\n{configuration}\n",
                    path.canonicalize().unwrap().display()
                )
                .unwrap();
            }
            case.write_rules(folder);
            text
        });
        let run = program.command(&["run"]);
        let cores = if case.workers > 1 { "0,1" } else { CORE };
        let mut command = Command::new("taskset");
        command
            .args(["-c", cores])
            .arg(run.get_program())
            .args(run.get_args())
            .envs(
                run.get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(program.folder().join("log")).unwrap());
        let child = command.spawn().unwrap();
        Self { program, child }
    }

    fn told(&self, file: &str) -> String {
        let path = PathBuf::from(format!("/proc/{}/{file}", self.child.id()));
        std::fs::read_to_string(path).unwrap()
    }

    /// Processor time of all its threads so far.
    pub(crate) fn cpu(&self) -> Duration {
        cpu(self.child.id())
    }

    /// The most memory that it has held.
    pub(crate) fn peak_kb(&self) -> u64 {
        let text = self.told("status");
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.unwrap()
            .split_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// Ends it. How many events it says that it forwarded.
    pub(crate) async fn end(mut self) -> usize {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().unwrap();
        while self.child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let log = std::fs::read_to_string(self.program.folder().join("log")).unwrap();
        let last = log
            .lines()
            .rfind(|line| line.contains("\"message\":\"drained\""));
        let last = last.unwrap_or_else(|| panic!("it did not drain: {log}"));
        let said: serde_json::Value = serde_json::from_str(last).unwrap();
        said["events"].as_u64().unwrap().try_into().unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It has ended, or nobody needs it any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
