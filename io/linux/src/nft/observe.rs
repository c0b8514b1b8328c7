//! Reads a table back: the kernel's dumps, decoded to the values that would have written them.

use std::collections::BTreeSet;
use std::sync::Arc;

use dataplane::nft::{
    Anonymous, Base, ChainKind, ChainName, ObservedBase, ObservedChain, ObservedRule, ObservedSet,
    ObservedTable, Policy, Presence, SetName, TableFamily, TableId,
};

use super::decode::{self, AnonymousSets};
use super::elements;
use super::encode::{HOOKS, chain_type, family, header, kind};
use super::uapi::*;
use crate::netlink::{Attributes, MessageWriter, NetlinkError, NetlinkSocket, Request};

pub(super) const FAMILIES: [TableFamily; 4] = [
    TableFamily::Inet,
    TableFamily::Ip,
    TableFamily::Ip6,
    TableFamily::Arp,
];

/// The kernel's count of changes to nf_tables in this network namespace.
pub(super) fn generation(socket: &mut NetlinkSocket) -> Result<u32, NetlinkError> {
    let request = Request {
        doing: "read the generation of nf_tables",
        kind: kind(NFT_MSG_GETGEN),
        flags: 0,
        header: &header(NFPROTO_UNSPEC),
    };
    let found = socket.get(
        request,
        |_| {},
        |message| message.split(4)?.1.get(NFTA_GEN_ID)?.be32(),
    )?;
    Ok(found.unwrap_or_default())
}

/// One reading, which other hands may have disturbed.
pub(super) fn table(
    socket: &mut NetlinkSocket,
    table: &TableId,
) -> Result<ObservedTable, NetlinkError> {
    let mut observed = ObservedTable::absent(table.clone());
    let tables = tables(socket)?;
    observed.upstream = TableId::upstream()
        .into_iter()
        .filter(|one| one != table && tables.contains(one))
        .collect();
    if !tables.contains(table) {
        return Ok(observed);
    }
    observed.presence = Presence::Present;
    let mut reader = Reader { socket, table };
    let anonymous = reader.sets(&mut observed)?;
    reader.chains(&mut observed)?;
    reader.rules(&mut observed, &anonymous)?;
    observed.foreign = reader.others()?;
    Ok(observed)
}

fn tables(socket: &mut NetlinkSocket) -> Result<BTreeSet<TableId>, NetlinkError> {
    let header = header(NFPROTO_UNSPEC);
    let request = Request {
        doing: "list the tables",
        kind: kind(NFT_MSG_GETTABLE),
        flags: 0,
        header: &header,
    };
    let tables = socket.dump(
        request,
        |_| {},
        |message| {
            let (header, attributes) = message.split(4)?;
            let family = FAMILIES
                .into_iter()
                .find(|one| header.first() == Some(&family(*one)))?;
            Some(TableId::new(
                family,
                attributes.get(NFTA_TABLE_NAME)?.text()?,
            ))
        },
    )?;
    Ok(tables.into_iter().collect())
}

struct Reader<'a> {
    socket: &'a mut NetlinkSocket,
    table: &'a TableId,
}

impl Reader<'_> {
    /// Dumps what belongs to the table: all kinds of messages name it in their first attribute.
    fn dump<T>(
        &mut self,
        (doing, message): (&'static str, u16),
        write: impl FnOnce(&mut MessageWriter<'_>),
        mut decode: impl FnMut(Attributes<'_>) -> Option<T>,
    ) -> Result<Vec<T>, NetlinkError> {
        let header = header(family(self.table.family));
        let name = &self.table.name;
        let write = |m: &mut MessageWriter<'_>| {
            m.text(NFTA_TABLE_NAME, name);
            write(m);
        };
        let request = Request {
            doing,
            kind: kind(message),
            flags: 0,
            header: &header,
        };
        self.socket.dump(request, write, |message| {
            let (_, attributes) = message.split(4)?;
            (attributes.get(NFTA_TABLE_NAME)?.text()? == &**name)
                .then(|| decode(attributes))
                .flatten()
        })
    }

    /// Reads named sets into the table and answers those that belong to rules.
    fn sets(&mut self, observed: &mut ObservedTable) -> Result<AnonymousSets, NetlinkError> {
        let found = self.dump(
            ("list the sets", NFT_MSG_GETSET),
            |_| {},
            |attributes| {
                let name = SetName::from(attributes.get(NFTA_SET_NAME)?.text()?);
                let own = elements::set_flags(attributes) & NFT_SET_ANONYMOUS != 0;
                Some((name, own, elements::read_type(attributes)))
            },
        )?;
        let mut anonymous = AnonymousSets::new();
        for (name, own, ty) in found {
            let Some(ty) = ty else {
                if !own {
                    let set = ObservedSet {
                        ty: None,
                        elements: Default::default(),
                        foreign: 0,
                    };
                    observed.sets.insert(name, set);
                }
                continue;
            };
            let mut found = elements::Found::default();
            let write = |m: &mut MessageWriter<'_>| m.text(NFTA_SET_ELEM_LIST_SET, name.as_str());
            self.dump(
                ("list the elements of a set", NFT_MSG_GETSETELEM),
                write,
                |attributes| {
                    found.read(attributes);
                    Some(())
                },
            )?;
            let (elements, foreign) = found.finish(&ty);
            if !own {
                observed.sets.insert(
                    name,
                    ObservedSet {
                        ty: Some(Arc::new(ty)),
                        elements,
                        foreign,
                    },
                );
            } else if foreign == 0 {
                anonymous.insert(name, Anonymous { ty, elements });
            }
        }
        Ok(anonymous)
    }

    fn chains(&mut self, observed: &mut ObservedTable) -> Result<(), NetlinkError> {
        let chains = self.dump(("list the chains", NFT_MSG_GETCHAIN), |_| {}, read_chain)?;
        observed.chains.extend(chains);
        Ok(())
    }

    fn rules(
        &mut self,
        observed: &mut ObservedTable,
        sets: &AnonymousSets,
    ) -> Result<(), NetlinkError> {
        let rules = self.dump(
            ("list the rules", NFT_MSG_GETRULE),
            |_| {},
            |attributes| {
                let chain = ChainName::from(attributes.get(NFTA_RULE_CHAIN)?.text()?);
                let handle = attributes.get(NFTA_RULE_HANDLE)?.be64()?;
                Some((
                    chain,
                    ObservedRule {
                        handle: Some(handle),
                        rule: decode::rule(attributes, sets),
                    },
                ))
            },
        )?;
        for (chain, rule) in rules {
            if let Some(chain) = observed.chains.get_mut(&chain) {
                chain.rules.push(rule);
            }
        }
        Ok(())
    }

    /// Counts flowtables and named objects, which we never make.
    fn others(&mut self) -> Result<usize, NetlinkError> {
        let objects = self.dump(
            ("list the named objects", NFT_MSG_GETOBJ),
            |_| {},
            |_| Some(()),
        )?;
        let flowtables = self.dump(
            ("list the flowtables", NFT_MSG_GETFLOWTABLE),
            |_| {},
            |_| Some(()),
        )?;
        Ok(objects.len() + flowtables.len())
    }
}

pub(super) fn read_chain(attributes: Attributes<'_>) -> Option<(ChainName, ObservedChain)> {
    let name = ChainName::from(attributes.get(NFTA_CHAIN_NAME)?.text()?);
    let base = match attributes.get(NFTA_CHAIN_HOOK) {
        None => ObservedBase::Regular,
        Some(hook) => {
            base(attributes, hook.nested()).map_or(ObservedBase::Foreign, ObservedBase::Base)
        }
    };
    Some((
        name,
        ObservedChain {
            base,
            rules: Vec::new(),
        },
    ))
}

fn base(attributes: Attributes<'_>, hook: Attributes<'_>) -> Option<Base> {
    if hook.get(NFTA_HOOK_DEV).is_some() || hook.get(NFTA_HOOK_DEVS).is_some() {
        return None;
    }
    let kinds = [ChainKind::Filter, ChainKind::Nat, ChainKind::Route];
    let ty = attributes.get(NFTA_CHAIN_TYPE)?.text()?;
    let policy = match attributes.get(NFTA_CHAIN_POLICY)?.be32()? as i32 {
        NF_ACCEPT => Policy::Accept,
        NF_DROP => Policy::Drop,
        _ => return None,
    };
    Some(Base {
        kind: kinds.into_iter().find(|kind| chain_type(*kind) == ty)?,
        hook: *HOOKS.get(hook.get(NFTA_HOOK_HOOKNUM)?.be32()? as usize)?,
        priority: hook.get(NFTA_HOOK_PRIORITY)?.be32()? as i32,
        policy,
    })
}
