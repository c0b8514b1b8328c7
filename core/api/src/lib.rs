#![doc = include_str!("../README.md")]

mod admit;
mod decode;
mod defaults;
mod encode;
mod fields;
mod goform;
mod gojson;
pub mod gotypes;
mod ipam_form;
mod key;
mod kind;
mod kinds;
pub mod kubernetes;
mod names;
mod nearest;
mod object;
mod older;
mod problem;
mod reader;
mod references;
pub mod schema;
mod sha1;

pub use admit::{AdmitOptions, admit, admit_labels, admit_update, expand_list, refuse_delete};
pub use decode::{decode, decode_absent};
pub use encode::{
    EncodeError, built_in_objects, default_profile, encode, key_text, merge, network_profile,
    object_of,
};
pub use goform::{Part as GoPart, duration as go_duration, parts as go_parts};
pub use key::{
    RESOURCES, StoreKey, cidr_name, host_affinities_prefix, name_cidr, parse_store_key, store_key,
    store_prefix, store_prefixes,
};
pub use kind::{CALICO_V3, CORE_V1, DISCOVERY_V1, Kind, NETWORKING_V1, POLICY_V1ALPHA2, Scope};
pub use kinds::endpoints::workload_endpoint_name;
pub use object::Object;
pub use older::older_key;
pub use problem::{Invalid, Problem};
pub use references::{Intent, Needs, Objection, Reference, needs, objection};
pub use sha1::interface_digest;
