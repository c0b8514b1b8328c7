//! Values to messages: one [`Op`] is one message, but for anonymous sets and lists of elements beyond 64 KiB.

use dataplane::nft::{
    Base, Batch, ChainKind, ChainName, Comment, Hook, Op, Policy, Position, Rule, TableFamily,
    TableId,
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
        let begin = Verb::new("begin the nf_tables transaction", NFNL_MSG_BATCH_BEGIN, 0);
        transaction.bracket(begin, generation);
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
        let end = Verb::new("end the nf_tables transaction", NFNL_MSG_BATCH_END, 0);
        transaction.bracket(end, None);
        transaction
    }

    fn bracket(&mut self, verb: Verb, generation: Option<u32>) {
        let header = [NFPROTO_UNSPEC, 0, 0, NFNL_SUBSYS_NFTABLES as u8];
        let Verb {
            doing,
            message: kind,
            flags,
        } = verb;
        self.messages.message(
            Request {
                doing,
                kind,
                flags,
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

    fn message(&mut self, table: &TableId, verb: Verb, write: impl FnOnce(&mut MessageWriter<'_>)) {
        let header = header(family(table.family));
        let Verb {
            doing,
            message,
            flags,
        } = verb;
        // The kernel echoes the generation that the transaction makes if its first message inside the brackets asks for it.
        let flags = if self.messages.len() == 1 {
            flags | libc::NLM_F_ECHO as u16
        } else {
            flags
        };
        let request = Request {
            doing,
            kind: kind(message),
            flags,
            header: &header,
        };
        self.messages.message(request, |m| {
            // NFTA_{TABLE_NAME,CHAIN_TABLE,RULE_TABLE,SET_TABLE,SET_ELEM_LIST_TABLE} are all 1.
            m.text(NFTA_TABLE_NAME, &table.name);
            write(m);
        });
    }

    fn op(&mut self, table: &TableId, op: &Op, echo: u16) {
        match op {
            Op::AddTable => self.message(table, verbs::ADD_TABLE, |_| {}),
            Op::DeleteTable => self.message(table, verbs::DELETE_TABLE, |_| {}),
            Op::DeleteOther(other) => self.message(other, verbs::DELETE_OTHER, |_| {}),
            Op::AddChain { chain, base } => {
                self.message(table, verbs::ADD_CHAIN, |m| add_chain(m, chain, *base));
            }
            Op::SetPolicy { chain, policy } => self.message(table, verbs::SET_POLICY, |m| {
                m.text(NFTA_CHAIN_NAME, chain.as_str());
                m.be32(NFTA_CHAIN_POLICY, policy_number(*policy));
            }),
            Op::DeleteChain(chain) => self.message(table, verbs::DELETE_CHAIN, |m| {
                m.text(NFTA_CHAIN_NAME, chain.as_str());
            }),
            Op::FlushChain(chain) => self.message(table, verbs::FLUSH_CHAIN, |m| {
                m.text(NFTA_RULE_CHAIN, chain.as_str());
            }),
            Op::AddRule {
                chain,
                position,
                rule,
            } => {
                let (verb, near) = match position {
                    Position::End => (verbs::APPEND_RULE, None),
                    Position::Before(handle) => {
                        (verbs::INSERT_RULE, Some((NFTA_RULE_POSITION, *handle)))
                    }
                    Position::After(handle) => {
                        (verbs::APPEND_RULE, Some((NFTA_RULE_POSITION, *handle)))
                    }
                };
                self.rule(table, verb.with(echo), (chain, near), rule);
            }
            Op::ReplaceRule {
                chain,
                handle,
                rule,
            } => {
                let near = Some((NFTA_RULE_HANDLE, *handle));
                self.rule(table, verbs::REPLACE_RULE.with(echo), (chain, near), rule);
            }
            Op::DeleteRule { chain, handle } => self.message(table, verbs::DELETE_RULE, |m| {
                m.text(NFTA_RULE_CHAIN, chain.as_str());
                m.be64(NFTA_RULE_HANDLE, *handle);
            }),
            Op::AddSet { set, ty } => self.message(table, verbs::ADD_SET, |m| {
                elements::write_set(m, ty, elements::Naming::Named(set));
            }),
            Op::DeleteSet(set) => self.message(table, verbs::DELETE_SET, |m| {
                m.text(NFTA_SET_NAME, set.as_str());
            }),
            Op::AddElements { set, ty, elements } => {
                let items = elements
                    .iter()
                    .map(|element| (&element.key, Some(&element.load)));
                let items = elements::items(ty, items);
                self.elements(table, verbs::ADD_ELEMENTS, (set.as_str(), None), items);
            }
            Op::DeleteElements { set, ty, keys } => {
                let items = elements::items(ty, keys.iter().map(|key| (key, None)));
                self.elements(table, verbs::DELETE_ELEMENTS, (set.as_str(), None), items);
            }
            Op::FlushSet(set) => self.message(table, verbs::FLUSH_SET, |m| {
                m.text(NFTA_SET_ELEM_LIST_SET, set.as_str());
            }),
        }
    }

    fn rule(
        &mut self,
        table: &TableId,
        verb: Verb,
        (chain, near): (&ChainName, Option<(u16, u64)>),
        rule: &Rule,
    ) {
        let ids = self.anonymous_sets(table, rule);
        self.message(table, verb, |m| {
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
            self.message(table, verbs::ADD_OWN_SET, |m| {
                elements::write_set(m, &set.ty, naming)
            });
            let items = elements::items(
                &set.ty,
                set.elements.iter().map(|(key, load)| (key, Some(load))),
            );
            self.elements(
                table,
                verbs::ADD_OWN_ELEMENTS,
                (naming.name(set.ty.kind), Some(id)),
                items,
            );
            ids.push(id);
        }
        ids
    }

    fn elements<'a>(
        &mut self,
        table: &TableId,
        verb: Verb,
        (set, id): (&str, Option<u32>),
        items: impl Iterator<Item = elements::Item<'a>>,
    ) {
        let mut items = items.peekable();
        while items.peek().is_some() {
            self.message(table, verb, |m| {
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

/// A kind of message and its flags.
#[derive(Clone, Copy)]
struct Verb {
    doing: &'static str,
    message: u16,
    flags: u16,
}

impl Verb {
    const fn new(doing: &'static str, message: u16, flags: i32) -> Self {
        Self {
            doing,
            message,
            flags: flags as u16,
        }
    }

    fn with(self, flags: u16) -> Self {
        Self {
            flags: self.flags | flags,
            ..self
        }
    }
}

/// All that a transaction can ask for.
mod verbs {
    use libc::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_REPLACE};

    use super::super::uapi::*;
    use super::Verb;

    pub(super) const ADD_TABLE: Verb = Verb::new("add the table", NFT_MSG_NEWTABLE, NLM_F_CREATE);
    pub(super) const DELETE_TABLE: Verb = Verb::new("delete the table", NFT_MSG_DELTABLE, 0);
    pub(super) const DELETE_OTHER: Verb = Verb::new("delete upstream's table", NFT_MSG_DELTABLE, 0);
    pub(super) const ADD_CHAIN: Verb = Verb::new("add a chain", NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    pub(super) const SET_POLICY: Verb = Verb::new("change a chain's policy", NFT_MSG_NEWCHAIN, 0);
    pub(super) const DELETE_CHAIN: Verb = Verb::new("delete a chain", NFT_MSG_DELCHAIN, 0);
    pub(super) const FLUSH_CHAIN: Verb = Verb::new("flush a chain", NFT_MSG_DELRULE, 0);
    pub(super) const APPEND_RULE: Verb =
        Verb::new("add a rule", NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    pub(super) const INSERT_RULE: Verb = Verb::new("insert a rule", NFT_MSG_NEWRULE, NLM_F_CREATE);
    pub(super) const REPLACE_RULE: Verb =
        Verb::new("replace a rule", NFT_MSG_NEWRULE, NLM_F_REPLACE);
    pub(super) const DELETE_RULE: Verb = Verb::new("delete a rule", NFT_MSG_DELRULE, 0);
    pub(super) const ADD_SET: Verb = Verb::new("add a set", NFT_MSG_NEWSET, NLM_F_CREATE);
    pub(super) const ADD_OWN_SET: Verb =
        Verb::new("add a rule's own set", NFT_MSG_NEWSET, NLM_F_CREATE);
    pub(super) const DELETE_SET: Verb = Verb::new("delete a set", NFT_MSG_DELSET, 0);
    pub(super) const ADD_ELEMENTS: Verb =
        Verb::new("add elements", NFT_MSG_NEWSETELEM, NLM_F_CREATE);
    pub(super) const ADD_OWN_ELEMENTS: Verb = Verb::new(
        "add the elements of a rule's own set",
        NFT_MSG_NEWSETELEM,
        NLM_F_CREATE,
    );
    pub(super) const DELETE_ELEMENTS: Verb = Verb::new("delete elements", NFT_MSG_DELSETELEM, 0);
    pub(super) const FLUSH_SET: Verb = Verb::new("flush a set", NFT_MSG_DELSETELEM, 0);
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
