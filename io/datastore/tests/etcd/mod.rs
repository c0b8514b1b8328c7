//! What tests on a real etcd share.

use datastore::{EtcdSettings, Material, Secret};
use testkit::servers::{Guard, RealEtcd};

/// How a user of this server reaches it.
pub(crate) fn settings(server: &RealEtcd, guard: Guard) -> EtcdSettings {
    let endpoints = vec![server.url()];
    match guard {
        Guard::Open => EtcdSettings {
            endpoints,
            ..EtcdSettings::default()
        },
        Guard::Tls => {
            let [ca, cert, key] = server.certificates().map(|path| Some(Material::File(path)));
            EtcdSettings {
                endpoints,
                ca_cert: ca,
                cert,
                key,
                ..EtcdSettings::default()
            }
        }
        Guard::Password => EtcdSettings {
            endpoints,
            username: Some(RealEtcd::USER.into()),
            password: Some(Secret::new(RealEtcd::PASSWORD.into())),
            ..EtcdSettings::default()
        },
    }
}
