//! The program under test: the real binary, as a process of its own.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::{aws::Aws, aws::Wired};

/// The program's binary. It is built beside the tests, because the host is one of the packages they are
/// built with.
///
/// # Panics
/// When the tests do not know where they are.
#[must_use]
pub fn binary() -> PathBuf {
    let tests = std::env::current_exe().expect("a test has a path");
    let profile = tests.ancestors().nth(2).expect("tests lie in deps/");
    profile.join("sluicegate")
}

/// Processor time of all threads of a process so far, as the kernel counts it: in hundredths of a second.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn cpu(process: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    // What follows the name, which may have anything in it: state, ten numbers, then the two times.
    let (_, rest) = text.rsplit_once(')').expect("a name");
    let times = rest.split_whitespace().skip(11).take(2);
    let hundredths: u64 = times
        .map(|time| time.parse::<u64>().expect("a number"))
        .sum();
    Duration::from_millis(hundredths * 10)
}

/// A configuration in a folder of its own, and commands that run with it.
pub struct Program {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl Program {
    /// Writes a configuration. Ledger and store are added; they lie in the folder that `configuration`
    /// is told.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn new(configuration: impl FnOnce(&Path) -> String) -> Self {
        // Not in memory, as /tmp may be: some tests write gigabytes.
        let parent = crate::host::root().join("target/tmp");
        std::fs::create_dir_all(&parent).expect("a folder for temporary files");
        let folder = tempfile::tempdir_in(parent).expect("a folder for temporary files");
        let program = Self {
            folder,
            variables: [
                ("AWS_ACCESS_KEY_ID", "test"),
                ("AWS_SECRET_ACCESS_KEY", "test"),
                ("AWS_EC2_METADATA_DISABLED", "true"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        };
        program.write_configuration(&configuration(program.folder()));
        program
    }

    /// Writes the configuration anew.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_configuration(&self, text: &str) {
        let text = format!(
            "[ledger]\npath = \"{folder}/ledger.sqlite\"\n[store]\npath = \"{folder}/store\"\n\
             [plugin_cache]\npath = \"{cache}\"\n{text}\n",
            folder = self.folder().display(),
            cache = crate::host::root()
                .join("target/tmp/plugin-cache")
                .display(),
        );
        std::fs::write(self.configuration(), text).expect("a configuration can be written");
    }

    /// Sets an environment variable for all commands.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(present, _)| present != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Where the configuration lies, and all that the program writes.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration file.
    #[must_use]
    pub fn configuration(&self) -> PathBuf {
        self.folder().join("sluicegate.toml")
    }

    /// A command of the program with this configuration.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .arg("--config")
            .arg(self.configuration())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Starts `run`.
    ///
    /// # Panics
    /// When the binary was not built.
    #[must_use]
    pub fn start(&self) -> Running {
        let mut command = self.command(&["run"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn();
        let child = child
            .unwrap_or_else(|error| panic!("{}: {error}; run `cargo build`", binary().display()));
        Running(Some(child))
    }

    /// Runs a command to its end, and returns its exit code, its output and its errors.
    ///
    /// # Panics
    /// When it cannot be started, or was killed.
    pub async fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = self.command(arguments);
        let run = move || command.output().expect("the binary was built");
        let output = tokio::task::spawn_blocking(run)
            .await
            .expect("the command can be waited for");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().expect("nobody killed it");
        (code, text(&output.stdout), text(&output.stderr))
    }
}

/// The program, forwarding; killed when it is dropped.
pub struct Running(Option<Child>);

impl Running {
    /// The process.
    ///
    /// # Panics
    /// Never: a running program is one.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.as_ref().expect("a program ends once").id()
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Panics
    /// When the process cannot be signalled.
    pub async fn terminate(mut self) -> Output {
        let child = self.0.take().expect("a program ends once");
        let status = Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status()
            .expect("kill is there");
        assert!(status.success(), "the program had ended by itself");
        tokio::task::spawn_blocking(move || child.wait_with_output())
            .await
            .expect("the program can be waited for")
            .expect("its output can be read")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended by itself; nothing is left to be done then.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The `[source]` for a queue and a bucket of a local server.
#[must_use]
pub fn source(aws: &Aws, wired: &Wired) -> String {
    format!(
        "[source]\ntype = \"sqs\"\nqueue_url = \"{}\"\nregion = \"eu-west-1\"\nendpoint_url = \"{}\"\nwait_s = 1\n\
         [[source.buckets]]\nname = \"{}\"\nowner = \"{}\"\n",
        wired.queue_url,
        aws.url(),
        wired.bucket,
        wired.owner,
    )
}
