//! `ipam configure`: settings of the whole cluster.

use api::{AdmitOptions, Kind, Object};
use serde_json::Value;

use crate::cli::{Global, IpamConfigureArgs};
use crate::connect::{Purpose, connect};
use crate::objects::invalid;
use crate::outcome::{Failure, Status};
use crate::session::Session;

pub(crate) fn run(
    args: &IpamConfigureArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let settings = settings(args)?;
    if settings.is_empty() {
        return Err(Failure::usage(
            "at least one configuration option must be specified",
        ));
    }
    let objects = connect(&args.config.config, Purpose::Write, global, session)?;
    for attempt in 0.. {
        let old = objects.find(Kind::IpamConfiguration, None, "default")?;
        let mut wanted = old
            .clone()
            .unwrap_or_else(|| Object::new(Kind::IpamConfiguration, None, "default"));
        let spec = wanted.spec_mut();
        for setting in &settings {
            spec.insert(setting.field.to_owned(), setting.value.clone());
        }
        let admitted = api::admit(wanted.clone().into_value(), &AdmitOptions::default());
        let wanted = admitted.map_err(|problems| invalid(&wanted, &problems).context("error: "))?;
        let written = match &old {
            Some(old) => objects.write_over(old, &wanted),
            None => objects.create(&wanted),
        };
        match written {
            Ok(_) => break,
            Err(failure) if failure.status == Status::Conflict && attempt < 20 => {}
            Err(failure) => return Err(failure.context("error: ")),
        }
    }
    for Setting { shown, value, .. } in &settings {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        session.line(format!("Successfully set {shown} to: {value}"))?;
    }
    Ok(Status::Done)
}

/// A setting to change.
struct Setting {
    field: &'static str,
    /// Its name in messages.
    shown: &'static str,
    value: Value,
}

fn settings(args: &IpamConfigureArgs) -> Result<Vec<Setting>, Failure> {
    type Read = fn(&str) -> Result<Value, Failure>;
    let wishes: [(&'static str, &'static str, &Option<String>, Read); 4] = [
        (
            "strictAffinity",
            "StrictAffinity",
            &args.strictaffinity,
            boolean,
        ),
        (
            "maxBlocksPerHost",
            "MaxBlocksPerHost",
            &args.max_blocks_per_host,
            |text| {
                number(
                    text,
                    "invalid value for maxblockhost. Use a valid number, from 0 for no limit",
                )
            },
        ),
        (
            "kubeVirtVMAddressPersistence",
            "KubeVirtVMAddressPersistence",
            &args.kubevirt_ip_persistence,
            persistence,
        ),
        (
            "ipCooldownSeconds",
            "IPCooldownSeconds",
            &args.ip_cooldown_seconds,
            |text| {
                number(
                    text,
                    "invalid value for --ip-cooldown-seconds. Use a number of seconds, from 0 for no rest",
                )
            },
        ),
    ];
    let mut settings = Vec::new();
    for (field, shown, text, read) in wishes {
        if let Some(text) = text {
            let value = read(text)?;
            settings.push(Setting {
                field,
                shown,
                value,
            });
        }
    }
    Ok(settings)
}

/// The words that Go takes for booleans.
fn boolean(text: &str) -> Result<Value, Failure> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true.into()),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false.into()),
        _ => Err(Failure::usage(
            "invalid value. Use true or false to set strictaffinity",
        )),
    }
}

fn number(text: &str, otherwise: &str) -> Result<Value, Failure> {
    let number: u32 = text.parse().map_err(|_| Failure::usage(otherwise))?;
    Ok(number.into())
}

fn persistence(text: &str) -> Result<Value, Failure> {
    match text {
        "Enabled" | "Disabled" => Ok(text.into()),
        _ => Err(Failure::usage(
            "invalid value for --kubevirt-ip-persistence. Use Enabled or Disabled",
        )),
    }
}
