//! The binary: arguments, logs, signals and the exit code. All else is in the library.

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;
use sluicegate::cli::{Arguments, Failure, Signals, execute, start_logs};
use tokio::signal::unix::{SignalKind, signal};

// The one that comes with musl has one lock for all threads.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { 64 } else { 0 };
            // Nothing is left to be done for somebody who has closed both streams.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let mut stderr = std::io::stderr().lock();
            for line in failure.lines() {
                let _ = writeln!(stderr, "sluicegate: {line}");
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

#[tokio::main]
async fn run(arguments: Arguments) -> Result<(), Failure> {
    start_logs(arguments.log_format, &arguments.log)?;
    let signals = Signals::default();
    let stopped = listen(signals.clone())?;
    tokio::select! {
        result = execute(arguments.command, signals) => result,
        () = stopped => Err(Failure::Other(anyhow::anyhow!("stopped by a second signal; what was started comes again"))),
    }
}

/// Asks for a drain at the first SIGTERM or SIGINT, and for a reload at each SIGHUP; ends at the second
/// SIGTERM or SIGINT.
fn listen(signals: Signals) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        let mut asked = 0;
        while asked < 2 {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                _ = hangup.recv() => {
                    signals.reload.notify_one();
                    continue;
                }
            };
            asked += 1;
            tracing::info!(signal = name, "draining; a second signal stops at once");
            signals.drain.cancel();
        }
    })
}
