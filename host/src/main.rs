//! The binary: arguments, logs, signals and the exit code. All else is in the library.

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;
use sluicegate::cli::{Arguments, Failure, execute, start_logs};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

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
    let drain = CancellationToken::new();
    let stopped = listen(drain.clone())?;
    tokio::select! {
        result = execute(arguments.command, drain) => result,
        () = stopped => Err(Failure::Other(anyhow::anyhow!("stopped by a second signal; what was started comes again"))),
    }
}

/// Cancels `drain` at the first SIGTERM or SIGINT; ends at the second.
fn listen(drain: CancellationToken) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        for _ in 0..2 {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(signal = name, "draining; a second signal stops at once");
            drain.cancel();
        }
    })
}
