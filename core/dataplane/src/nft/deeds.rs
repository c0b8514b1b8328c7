//! The words for what a rule does.

use std::net::IpAddr;

use super::expr::{
    Expr, Log, LogLevel, LogTarget, MarkPlace, MarkSource, Nat, NatKind, Rate, RejectWith, Scope,
};
use super::flags::NatFlags;
use super::names::{ChainName, PortRange, Verdict, one_line};
use super::rule::Rule;

impl Rule {
    /// Sets the selected bits of the packet's mark to these and keeps the others.
    #[must_use]
    pub fn set_mark(self, value: u32, mask: u32) -> Self {
        self.push(masked_mark(MarkPlace::Packet, value, mask))
    }

    /// Sets the selected bits of the connection's mark to these and keeps the others.
    #[must_use]
    pub fn set_ct_mark(self, value: u32, mask: u32) -> Self {
        self.push(masked_mark(MarkPlace::Connection, value, mask))
    }

    /// Copies the selected bits of one mark to the other and clears all others there.
    #[must_use]
    pub fn copy_mark(self, from: MarkPlace, to: MarkPlace, and: u32) -> Self {
        self.push(Expr::SetMark {
            place: to,
            source: MarkSource::Masked {
                place: from,
                and,
                xor: 0,
            },
        })
    }

    /// Counts packets and bytes.
    #[must_use]
    pub fn counter(self) -> Self {
        self.push(Expr::Counter)
    }

    /// Matches packets within a rate.
    #[must_use]
    pub fn limit(self, rate: Rate) -> Self {
        self.rate(rate, Scope::Within)
    }

    /// Matches packets beyond a rate.
    #[must_use]
    pub fn limit_over(self, rate: Rate) -> Self {
        self.rate(rate, Scope::Over)
    }

    fn rate(
        self,
        Rate {
            packets,
            per,
            burst,
        }: Rate,
        scope: Scope,
    ) -> Self {
        // The kernel refuses a rate of nothing and takes a burst of nothing for its default.
        let rate = Rate {
            packets: packets.max(1),
            per,
            burst: burst.max(1),
        };
        self.push(Expr::Limit { rate, scope })
    }

    /// Matches packets of connections beyond this many.
    #[must_use]
    pub fn connections_over(self, count: u32) -> Self {
        self.push(Expr::ConnLimit {
            count,
            scope: Scope::Over,
        })
    }

    /// Writes a line to the kernel log.
    #[must_use]
    pub fn log(self, prefix: &str, level: LogLevel) -> Self {
        self.push(Expr::Log(Log {
            prefix: one_line(prefix),
            target: LogTarget::Kernel(level),
        }))
    }

    /// Sends a record to an NFLOG group.
    #[must_use]
    pub fn nflog(self, prefix: &str, group: u16, snaplen: Option<u32>) -> Self {
        let target = LogTarget::Group {
            group,
            snaplen,
            queue_threshold: 0,
        };
        self.push(Expr::Log(Log {
            prefix: one_line(prefix),
            target,
        }))
    }

    /// Exempts the packet from connection tracking.
    #[must_use]
    pub fn notrack(self) -> Self {
        self.push(Expr::Notrack)
    }

    /// Translates the source to the outgoing interface's address.
    #[must_use]
    pub fn masquerade(self, ports: Option<PortRange>, flags: NatFlags) -> Self {
        self.push(Expr::Nat(Nat {
            kind: NatKind::Masquerade,
            ports,
            flags,
        }))
    }

    /// Translates the source to this address. Needs a check of the IP version, which it adds.
    #[must_use]
    pub fn snat(self, to: IpAddr, ports: Option<PortRange>, flags: NatFlags) -> Self {
        self.require_version(to.into()).push(Expr::Nat(Nat {
            kind: NatKind::Source(to),
            ports,
            flags,
        }))
    }

    /// Translates the destination to this address and, if given, port.
    #[must_use]
    pub fn dnat(self, to: IpAddr, ports: Option<PortRange>) -> Self {
        let nat = Nat {
            kind: NatKind::Destination(to),
            ports,
            flags: NatFlags::default(),
        };
        self.require_version(to.into()).push(Expr::Nat(nat))
    }

    /// Decides.
    #[must_use]
    pub fn verdict(self, verdict: Verdict) -> Self {
        self.push(Expr::Verdict(verdict))
    }

    /// Accepts: on to the following base chain.
    #[must_use]
    pub fn accept(self) -> Self {
        self.verdict(Verdict::Accept)
    }

    /// Drops.
    #[must_use]
    pub fn drop(self) -> Self {
        self.verdict(Verdict::Drop)
    }

    /// Goes back to the chain that jumped here.
    #[must_use]
    pub fn ret(self) -> Self {
        self.verdict(Verdict::Return)
    }

    /// Goes to another chain and comes back.
    #[must_use]
    pub fn jump(self, chain: impl Into<ChainName>) -> Self {
        self.verdict(Verdict::Jump(chain.into()))
    }

    /// Goes to another chain for good.
    #[must_use]
    pub fn goto(self, chain: impl Into<ChainName>) -> Self {
        self.verdict(Verdict::Goto(chain.into()))
    }

    /// Drops and answers.
    #[must_use]
    pub fn reject(self, with: RejectWith) -> Self {
        self.push(Expr::Reject(with))
    }
}

fn masked_mark(place: MarkPlace, value: u32, mask: u32) -> Expr {
    let source = match mask {
        u32::MAX => MarkSource::Constant(value),
        mask => MarkSource::Masked {
            place,
            and: !mask,
            xor: value & mask,
        },
    };
    Expr::SetMark { place, source }
}
