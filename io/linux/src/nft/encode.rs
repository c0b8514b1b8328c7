//! Values to messages: one [`Op`] is one message, but for anonymous sets and lists of elements beyond 64 KiB.

use dataplane::nft::{
    Base, Batch, ChainKind, ChainName, Comment, Handles, Hook, Op, Policy, Position, Rule,
    TableFamily, TableId,
};

use super::elements;
use super::expressions;
use super::uapi::*;
use crate::netlink::{self, MessageWriter, Request};

/// Beyond this many rules the kernel's numbers for them are not asked back: the answers would fill the socket.
const MAX_ECHOED_RULES: usize = 256;

pub(super) const fn kind(message: u16) -> u16 {
    NFNL_SUBSYS_NFTABLES << 8 | message
}

/// `struct nfgenmsg` for this family.
pub(super) const fn header(family: u8) -> [u8; 4] {
    [family, 0, 0, 0]
}

pub(super) const fn family(family: TableFamily) -> u8 {
    match family {
        TableFamily::Inet => NFPROTO_INET,
        TableFamily::Ip => NFPROTO_IPV4,
        TableFamily::Ip6 => NFPROTO_IPV6,
        TableFamily::Arp => NFPROTO_ARP,
    }
}

/// A transaction as messages, and which change each message belongs to.
#[derive(Default)]
pub(super) struct Transaction {
    pub(super) messages: netlink::Batch,
    /// The place in [`Batch::ops`] by the place of the message; `None` for the brackets around them.
    pub(super) ops: Vec<Option<usize>>,
    next_set_id: u32,
}

impl Transaction {
    /// All messages of a batch; with a generation, the kernel refuses it if anything changed since then.
    pub(super) fn encode(batch: &Batch, generation: Option<u32>) -> Self {
        let mut transaction = Self::default();
        transaction.bracket(
            "begin the nf_tables transaction",
            NFNL_MSG_BATCH_BEGIN,
            generation,
        );
        let adds_rule = |op: &&Op| matches!(op, Op::AddRule { .. } | Op::ReplaceRule { .. });
        let rules = batch.ops.iter().filter(adds_rule).count();
        let echo = if rules <= MAX_ECHOED_RULES {
            libc::NLM_F_ECHO as u16
        } else {
            0
        };
        for (index, op) in batch.ops.iter().enumerate() {
            transaction.op(&batch.table, op, echo);
            transaction
                .ops
                .resize(transaction.messages.len(), Some(index));
        }
        transaction.bracket("end the nf_tables transaction", NFNL_MSG_BATCH_END, None);
        transaction
    }

    fn bracket(&mut self, doing: &'static str, kind: u16, generation: Option<u32>) {
        let header = [NFPROTO_UNSPEC, 0, 0, NFNL_SUBSYS_NFTABLES as u8];
        self.messages.message(
            Request {
                doing,
                kind,
                flags: 0,
                header: &header,
            },
            |m| {
                if let Some(generation) = generation {
                    m.be32(NFNL_BATCH_GENID, generation);
                }
            },
        );
        self.ops.push(None);
    }

    fn message(
        &mut self,
        table: &TableId,
        doing: &'static str,
        (message, flags): (u16, i32),
        write: impl FnOnce(&mut MessageWriter<'_>),
    ) {
        let header = header(family(table.family));
        let request = Request {
            doing,
            kind: kind(message),
            flags: flags as u16,
            header: &header,
        };
        self.messages.message(request, |m| {
            // NFTA_{TABLE_NAME,CHAIN_TABLE,RULE_TABLE,SET_TABLE,SET_ELEM_LIST_TABLE} are all 1.
            m.text(NFTA_TABLE_NAME, &table.name);
            write(m);
        });
    }

    fn op(&mut self, table: &TableId, op: &Op, echo: u16) {
        const CREATE: i32 = libc::NLM_F_CREATE;
        match op {
            Op::AddTable => {
                self.message(table, "add the table", (NFT_MSG_NEWTABLE, CREATE), |_| {})
            }
            Op::DeleteTable => {
                self.message(table, "delete the table", (NFT_MSG_DELTABLE, 0), |_| {})
            }
            Op::DeleteOther(other) => self.message(
                other,
                "delete upstream's table",
                (NFT_MSG_DELTABLE, 0),
                |_| {},
            ),
            Op::AddChain { chain, base } => {
                self.message(table, "add a chain", (NFT_MSG_NEWCHAIN, CREATE), |m| {
                    add_chain(m, chain, *base)
                });
            }
            Op::SetPolicy { chain, policy } => {
                self.message(
                    table,
                    "change a chain's policy",
                    (NFT_MSG_NEWCHAIN, 0),
                    |m| {
                        m.text(NFTA_CHAIN_NAME, chain.as_str());
                        m.be32(NFTA_CHAIN_POLICY, policy_number(*policy));
                    },
                );
            }
            Op::DeleteChain(chain) => {
                self.message(table, "delete a chain", (NFT_MSG_DELCHAIN, 0), |m| {
                    m.text(NFTA_CHAIN_NAME, chain.as_str());
                })
            }
            Op::FlushChain(chain) => {
                self.message(table, "flush a chain", (NFT_MSG_DELRULE, 0), |m| {
                    m.text(NFTA_RULE_CHAIN, chain.as_str());
                })
            }
            Op::AddRule {
                chain,
                position,
                rule,
            } => {
                let (flags, near) = match position {
                    Position::End => (CREATE | libc::NLM_F_APPEND, None),
                    Position::Before(handle) => (CREATE, Some((NFTA_RULE_POSITION, *handle))),
                    Position::After(handle) => (
                        CREATE | libc::NLM_F_APPEND,
                        Some((NFTA_RULE_POSITION, *handle)),
                    ),
                };
                self.rule(table, chain, rule, (flags | i32::from(echo), near));
            }
            Op::ReplaceRule {
                chain,
                handle,
                rule,
            } => {
                let near = Some((NFTA_RULE_HANDLE, *handle));
                self.rule(
                    table,
                    chain,
                    rule,
                    (libc::NLM_F_REPLACE | i32::from(echo), near),
                );
            }
            Op::DeleteRule { chain, handle } => {
                self.message(table, "delete a rule", (NFT_MSG_DELRULE, 0), |m| {
                    m.text(NFTA_RULE_CHAIN, chain.as_str());
                    m.be64(NFTA_RULE_HANDLE, *handle);
                });
            }
            Op::AddSet { set, ty } => {
                self.message(table, "add a set", (NFT_MSG_NEWSET, CREATE), |m| {
                    elements::write_set(m, ty, elements::Naming::Named(set));
                });
            }
            Op::DeleteSet(set) => self.message(table, "delete a set", (NFT_MSG_DELSET, 0), |m| {
                m.text(NFTA_SET_NAME, set.as_str());
            }),
            Op::AddElements { set, ty, elements } => {
                let items = elements
                    .iter()
                    .map(|element| (&element.key, Some(&element.load)));
                let items = elements::Items::new(ty, items);
                self.elements(
                    table,
                    "add elements",
                    (NFT_MSG_NEWSETELEM, CREATE),
                    (set.as_str(), None),
                    items,
                );
            }
            Op::DeleteElements { set, ty, keys } => {
                let items = elements::Items::new(ty, keys.iter().map(|key| (key, None)));
                self.elements(
                    table,
                    "delete elements",
                    (NFT_MSG_DELSETELEM, 0),
                    (set.as_str(), None),
                    items,
                );
            }
            Op::FlushSet(set) => self.message(table, "flush a set", (NFT_MSG_DELSETELEM, 0), |m| {
                m.text(NFTA_SET_ELEM_LIST_SET, set.as_str());
            }),
        }
    }

    fn rule(
        &mut self,
        table: &TableId,
        chain: &ChainName,
        rule: &Rule,
        (flags, near): (i32, Option<(u16, u64)>),
    ) {
        let ids = self.anonymous_sets(table, rule);
        self.message(table, "add a rule", (NFT_MSG_NEWRULE, flags), |m| {
            m.text(NFTA_RULE_CHAIN, chain.as_str());
            if let Some((attribute, handle)) = near {
                m.be64(attribute, handle);
            }
            m.nest(NFTA_RULE_EXPRESSIONS, |m| {
                let mut ids = ids.into_iter();
                for expr in &rule.exprs {
                    expressions::write(m, expr, &mut ids);
                }
            });
            if let Some(comment) = &rule.comment {
                m.bytes(NFTA_RULE_USERDATA, &comment_data(comment));
            }
        });
    }

    /// Makes the sets written within a rule and answers the numbers by which the rule refers to them.
    fn anonymous_sets(&mut self, table: &TableId, rule: &Rule) -> Vec<u32> {
        let mut ids = Vec::new();
        for set in rule.exprs.iter().filter_map(expressions::anonymous) {
            self.next_set_id += 1;
            let id = self.next_set_id;
            let naming = elements::Naming::Anonymous {
                id,
                size: set.elements.len(),
            };
            let name = naming.name(set.ty.kind).to_owned();
            self.message(
                table,
                "add a rule's own set",
                (NFT_MSG_NEWSET, libc::NLM_F_CREATE),
                |m| {
                    elements::write_set(m, &set.ty, naming);
                },
            );
            let items = elements::Items::new(
                &set.ty,
                set.elements.iter().map(|(key, load)| (key, Some(load))),
            );
            let flags = (NFT_MSG_NEWSETELEM, libc::NLM_F_CREATE);
            self.elements(
                table,
                "add the elements of a rule's own set",
                flags,
                (&name, Some(id)),
                items,
            );
            ids.push(id);
        }
        ids
    }

    fn elements<'a>(
        &mut self,
        table: &TableId,
        doing: &'static str,
        message: (u16, i32),
        (set, id): (&str, Option<u32>),
        items: elements::Items<'a, impl Iterator<Item = elements::Item<'a>>>,
    ) {
        let mut items = items.peekable();
        while items.peek().is_some() {
            self.message(table, doing, message, |m| {
                m.text(NFTA_SET_ELEM_LIST_SET, set);
                if let Some(id) = id {
                    m.be32(NFTA_SET_ELEM_LIST_SET_ID, id);
                }
                m.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |m| {
                    elements::write_some(m, &mut items)
                });
            });
        }
    }
}

fn add_chain(m: &mut MessageWriter<'_>, chain: &ChainName, base: Option<Base>) {
    m.text(NFTA_CHAIN_NAME, chain.as_str());
    let Some(base) = base else { return };
    m.nest(NFTA_CHAIN_HOOK, |m| {
        m.be32(NFTA_HOOK_HOOKNUM, hook_number(base.hook));
        m.be32(NFTA_HOOK_PRIORITY, base.priority as u32);
    });
    m.be32(NFTA_CHAIN_POLICY, policy_number(base.policy));
    m.text(NFTA_CHAIN_TYPE, chain_type(base.kind));
}

/// The hooks in the order of the kernel's numbers (NF_INET_*).
pub(super) const HOOKS: [Hook; 5] = [
    Hook::Prerouting,
    Hook::Input,
    Hook::Forward,
    Hook::Output,
    Hook::Postrouting,
];

fn hook_number(hook: Hook) -> u32 {
    match hook {
        Hook::Prerouting => 0,
        Hook::Input => 1,
        Hook::Forward => 2,
        Hook::Output => 3,
        Hook::Postrouting => 4,
    }
}

fn policy_number(policy: Policy) -> u32 {
    match policy {
        Policy::Accept => NF_ACCEPT as u32,
        Policy::Drop => NF_DROP as u32,
    }
}

pub(super) fn chain_type(kind: ChainKind) -> &'static str {
    match kind {
        ChainKind::Filter => "filter",
        ChainKind::Nat => "nat",
        ChainKind::Route => "route",
    }
}

/// A comment as user data: type, length, text with its NUL.
pub(super) fn comment_data(comment: &Comment) -> Vec<u8> {
    let text = comment.as_str().as_bytes();
    let text = &text[..text.len().min(usize::from(u8::MAX) - 1)];
    let mut data = vec![UDATA_COMMENT, text.len() as u8 + 1];
    data.extend_from_slice(text);
    data.push(0);
    data
}

/// The comment in user data, if that is all it holds.
pub(super) fn read_comment(data: &[u8]) -> Option<Comment> {
    let (&[kind, len], text) = data.split_first_chunk::<2>()?;
    let text = text.strip_suffix(&[0])?;
    let whole = kind == UDATA_COMMENT && usize::from(len) == text.len() + 1;
    whole
        .then(|| std::str::from_utf8(text).ok().map(Comment::verbatim))
        .flatten()
}

/// Where the handles that the kernel echoes are collected.
pub(super) fn note_handle(
    handles: &mut Handles,
    transaction_ops: &[Option<usize>],
    message: usize,
    handle: u64,
) {
    if let Some(Some(op)) = transaction_ops.get(message) {
        handles.insert(*op, handle);
    }
}
