//! `sluicegate plugin keygen`, `sign` and `verify`.

use std::path::PathBuf;

use clap::Args;

use crate::{
    cli::{Failure, output::Output},
    plugin::trust::{self, PrivateKey},
};

/// Arguments of `keygen`.
#[derive(Debug, Args)]
pub struct Keygen {
    /// What the files are called, without their ending
    name: PathBuf,
}

/// Arguments of `sign`.
#[derive(Debug, Args)]
pub struct Sign {
    /// The component
    component: PathBuf,
    /// The private key, as `keygen` has written it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// The component
    component: PathBuf,
    /// The public key of whoever should have signed it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

pub(super) fn keygen(arguments: &Keygen) -> Result<(), Failure> {
    let key = PrivateKey::generate(&arguments.name)?;
    let name = arguments.name.display();
    Output::default().line(&format!(
        "key {}: {name}.key signs and stays secret, {name}.pub goes to whoever loads what it has signed",
        key.id()
    ))?;
    Ok(())
}

pub(super) fn sign(arguments: &Sign) -> Result<(), Failure> {
    let key = PrivateKey::read(&arguments.key)?;
    let written = key.sign(&arguments.component)?;
    Output::default().line(&format!(
        "signed by key {}: {}",
        key.public().id(),
        written.display()
    ))?;
    Ok(())
}

pub(super) fn verify(arguments: &Verify) -> Result<(), Failure> {
    let key = trust::verify(&arguments.component, &arguments.key)?;
    Output::default().line(&format!(
        "{} is signed by key {key}",
        arguments.component.display()
    ))?;
    Ok(())
}
