//! What goes to stdout: results. Logs go to stderr.

use std::io::{self, IsTerminal as _, Write as _};

/// Writes lines to stdout. A reader that has gone away is no error: `sluicegate … | head` is fine.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// A progress line stands on the terminal and has to be wiped before the next one.
    progress: bool,
}

impl Output {
    /// One line.
    pub(super) fn line(&mut self, text: &str) -> anyhow::Result<()> {
        Self::write(&format!("{}{text}\n", self.wipe()))?;
        self.progress = false;
        Ok(())
    }

    /// A line that replaces the last one, on a terminal only.
    pub(super) fn progress(&mut self, text: &str) -> anyhow::Result<()> {
        if !io::stdout().is_terminal() {
            return Ok(());
        }
        Self::write(&format!("\r\x1b[K{text}"))?;
        self.progress = true;
        Ok(())
    }

    fn wipe(&self) -> &'static str {
        if self.progress { "\r\x1b[K" } else { "" }
    }

    fn write(text: &str) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(anyhow::Error::from(error).context("failed to write to stdout"))
            }
            _ => Ok(()),
        }
    }
}

/// A number with its thousands apart: `1,234,567`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(thousands),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
