//! `sluicegate normalize`: events of a file or of stdin in the shape that a sink would get.

use std::{
    io::{self, BufWriter, ErrorKind, Read as _, Write as _},
    path::PathBuf,
};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};

use crate::{
    authoring::{self, events},
    cli::Failure,
    effects::{EventView, Processed},
    event::EventBatch,
    normalize::{Format, ocsf},
    sink::{
        Unencodable,
        datadog_logs::{self, LateEvents},
        file, splunk_hec,
    },
};

/// Arguments of `normalize`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A CloudTrail object (.json.gz), the same inflated, one event, or one event a line; `-` is stdin
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,

    /// The shape of the lines
    #[arg(long, value_enum, default_value_t = Shape::Ocsf180)]
    format: Shape,

    /// Add the original event as `raw_data`, in a format of OCSF
    #[arg(long)]
    raw_data: bool,

    /// Say on stderr which members of events the mapping to OCSF does not know, and how often they came
    #[arg(long)]
    report_unmapped: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shape {
    /// The event, and what the host adds to it
    Original,
    #[value(name = "ocsf-1.8.0")]
    Ocsf180,
    #[value(name = "ocsf-1.1.0")]
    Ocsf110,
    /// As it is sent to a Splunk HTTP Event Collector
    Hec,
    /// As it is sent to Datadog's log intake
    Datadog,
}

/// What writes a line.
enum Encoder {
    Original,
    Ocsf(Box<ocsf::Encoder>),
    Hec(splunk_hec::Envelope),
    Datadog(datadog_logs::Layout),
}

impl Encoder {
    fn new(arguments: &Arguments) -> anyhow::Result<Self> {
        let encoder = match arguments.format {
            Shape::Original => Self::Original,
            Shape::Ocsf180 => Self::ocsf(Format::Ocsf180, arguments.raw_data),
            Shape::Ocsf110 => Self::ocsf(Format::Ocsf110, arguments.raw_data),
            Shape::Hec => {
                let settings = serde_json::from_str("{\"endpoint\":\"\"}")?;
                Self::Hec(splunk_hec::Envelope::new(&settings))
            }
            Shape::Datadog => {
                Self::Datadog(datadog_logs::Layout::new(&serde_json::from_str("{}")?))
            }
        };
        ensure!(
            matches!(encoder, Self::Ocsf(_)) || !(arguments.raw_data || arguments.report_unmapped),
            "--raw-data and --report-unmapped need a format of OCSF"
        );
        Ok(encoder)
    }

    fn ocsf(format: Format, raw_data: bool) -> Self {
        format
            .ocsf(raw_data)
            .map_or(Self::Original, |encoder| Self::Ocsf(Box::new(encoder)))
    }

    fn fields(&self) -> &'static [&'static str] {
        match self {
            Self::Datadog(_) => datadog_logs::fields(),
            _ => &[],
        }
    }

    fn line(&self, event: &EventView<'_>, out: &mut Vec<u8>) -> Result<(), Unencodable> {
        match self {
            Self::Original => event.write(b"", out),
            Self::Ocsf(ocsf) => ocsf.event(event, out)?,
            Self::Hec(envelope) => envelope.event(event, out)?,
            Self::Datadog(layout) => layout.encode(event, LateEvents::Send, 0, out)?,
        }
        file::one_line(out);
        out.push(b'\n');
        Ok(())
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let encoder = Encoder::new(arguments)?;
    let mut bad = 0_u64;
    let mut report = |error: &anyhow::Error| {
        bad += 1;
        eprintln!("{error:#}");
    };
    let (name, bytes) = read(arguments)?;
    let batches = events::from_bytes(&name, bytes, &mut |error| report(&error))
        .with_context(|| format!("failed to read {name}"))?;
    write(batches, &encoder, &mut report)?;
    if let Encoder::Ocsf(ocsf) = &encoder
        && arguments.report_unmapped
    {
        for (name, count) in ocsf.strangers().counts() {
            eprintln!("{count:>10}  {name}");
        }
    }
    if bad > 0 {
        return Err(anyhow::anyhow!("{bad} events are left out").into());
    }
    Ok(())
}

fn read(arguments: &Arguments) -> anyhow::Result<(String, Vec<u8>)> {
    if arguments.file.as_os_str() != "-" {
        let bytes = authoring::read(&arguments.file, events::MAX_BYTES)?;
        return Ok((arguments.file.display().to_string(), bytes));
    }
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take(events::MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .context("failed to read stdin")?;
    if bytes.len() > events::MAX_BYTES {
        bail!(
            "failed to read stdin: it has more than {} bytes",
            events::MAX_BYTES
        );
    }
    Ok(("stdin".to_owned(), bytes))
}

/// Writes every event. A reader that has gone away is no error.
fn write(
    batches: Vec<EventBatch>,
    encoder: &Encoder,
    report: &mut dyn FnMut(&anyhow::Error),
) -> anyhow::Result<()> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    let mut line = Vec::new();
    for batch in batches {
        let processed = Processed::untouched(batch, encoder.fields());
        for row in 0..processed.rows() {
            let event = processed.view(row, 0);
            line.clear();
            if let Err(error) = encoder.line(&event, &mut line) {
                report(&anyhow::anyhow!("event {}: {error}", event.index()));
                continue;
            }
            match stdout.write_all(&line) {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                written => written.context("failed to write to stdout")?,
            }
        }
    }
    match stdout.flush() {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("failed to write to stdout"))
        }
        _ => Ok(()),
    }
}
