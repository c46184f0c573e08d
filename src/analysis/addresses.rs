//! Sets of addresses, and how much of the public address space they hold.

use std::{net::IpAddr, sync::LazyLock};

use crate::inventory::network_policy::Cidr;

/// A set of numbers: intervals, both ends included, sorted, neither overlapping nor adjacent.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Intervals(Vec<(u128, u128)>);

impl Intervals {
    /// Adds all numbers from `first` to `last`.
    pub fn add(&mut self, first: u128, last: u128) {
        let (mut first, mut last) = (first, last);
        self.0.retain(|&(a, b)| {
            let apart = b.saturating_add(1) < first || last.saturating_add(1) < a;
            if !apart {
                (first, last) = (first.min(a), last.max(b));
            }
            apart
        });
        let at = self.0.partition_point(|&(a, _)| a < first);
        self.0.insert(at, (first, last));
    }

    /// Takes all numbers from `first` to `last` out.
    pub fn remove(&mut self, first: u128, last: u128) {
        let mut left = Vec::with_capacity(self.0.len() + 1);
        for &(a, b) in &self.0 {
            if let Some(before) = first.checked_sub(1).filter(|&before| a <= before) {
                left.push((a, b.min(before)));
            }
            if let Some(after) = last.checked_add(1).filter(|&after| after <= b) {
                left.push((a.max(after), b));
            }
        }
        self.0 = left;
    }

    /// Whether `number` is in the set.
    pub fn contains(&self, number: u128) -> bool {
        let at = self.0.partition_point(|&(_, last)| last < number);
        self.0.get(at).is_some_and(|&(first, _)| first <= number)
    }

    /// How many numbers are in both sets; `u128::MAX` stands for all 2^128 too.
    pub fn shared(&self, other: &Self) -> u128 {
        let (mut i, mut j, mut count) = (0, 0, 0u128);
        while let (Some(&(a, b)), Some(&(c, d))) = (self.0.get(i), other.0.get(j)) {
            if let Some(between) = b.min(d).checked_sub(a.max(c)) {
                count = count.saturating_add(between.saturating_add(1));
            }
            if b < d {
                i += 1;
            } else {
                j += 1;
            }
        }
        count
    }

    /// Keeps only what is in the other set too.
    pub fn limit(&mut self, other: &Self) {
        let (mut i, mut j, mut kept) = (0, 0, Vec::new());
        while let (Some(&(a, b)), Some(&(c, d))) = (self.0.get(i), other.0.get(j)) {
            let (first, last) = (a.max(c), b.min(d));
            if first <= last {
                kept.push((first, last));
            }
            if b < d {
                i += 1;
            } else {
                j += 1;
            }
        }
        self.0 = kept;
    }

    /// Whether there is no number in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The intervals, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u128, u128)> + '_ {
        self.0.iter().copied()
    }
}

/// A set of addresses of both families.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// IPv4.
    pub v4: Intervals,
    /// IPv6.
    pub v6: Intervals,
}

/// Ranges that are not public (IANA special-purpose registry, multicast and reserved space).
const SPECIAL_V4: [(u32, u8); 16] = [
    (0x0000_0000, 8),
    (0x0a00_0000, 8),
    (0x6440_0000, 10),
    (0x7f00_0000, 8),
    (0xa9fe_0000, 16),
    (0xac10_0000, 12),
    (0xc000_0000, 24),
    (0xc000_0200, 24),
    (0xc058_6300, 24),
    (0xc0a8_0000, 16),
    (0xc612_0000, 15),
    (0xc633_6400, 24),
    (0xcb00_7100, 24),
    (0xe000_0000, 4),
    (0xf000_0000, 4),
    (0xffff_ffff, 32),
];

/// The prefix under which translators (NAT64) make IPv6 addresses of IPv4 ones: `64:ff9b::/96`.
const TRANSLATED: u128 = 0x0064_ff9b << 96;

/// First and last address of a network whose family has `bits` bits.
fn bounds(address: u128, prefix: u8, bits: u8) -> (u128, u128) {
    let host = u32::from(bits.saturating_sub(prefix));
    let mask = 1u128.checked_shl(host).map_or(u128::MAX, |size| size - 1);
    (address & !mask, address | mask)
}

impl Addresses {
    /// All public addresses: global unicast without documentation prefixes for IPv6, and the public
    /// IPv4 addresses that a translator makes IPv6 addresses of (RFC 6052).
    pub fn public() -> &'static Self {
        static PUBLIC: LazyLock<Addresses> = LazyLock::new(Addresses::all_public);
        &PUBLIC
    }

    fn all_public() -> Self {
        let mut public = Self::default();
        public.v4.add(0, u128::from(u32::MAX));
        for (address, prefix) in SPECIAL_V4 {
            let (first, last) = bounds(address.into(), prefix, 32);
            public.v4.remove(first, last);
        }
        for (add, address, prefix) in [
            (true, 0x2000_u128 << 112, 3),
            (false, 0x2001_0db8_u128 << 96, 32),
            (false, 0x3fff_u128 << 112, 20),
        ] {
            let (first, last) = bounds(address, prefix, 128);
            if add {
                public.v6.add(first, last);
            } else {
                public.v6.remove(first, last);
            }
        }
        for (first, last) in public.v4.iter() {
            public.v6.add(TRANSLATED | first, TRANSLATED | last);
        }
        public
    }

    /// Adds a network.
    pub fn add(&mut self, cidr: Cidr) {
        let (intervals, first, last) = self.side(cidr);
        intervals.add(first, last);
    }

    /// Takes a network out.
    pub fn remove(&mut self, cidr: Cidr) {
        let (intervals, first, last) = self.side(cidr);
        intervals.remove(first, last);
    }

    /// Takes a network out, by translated addresses too.
    pub fn remove_translated(&mut self, cidr: Cidr) {
        self.remove(cidr);
        if let IpAddr::V4(address) = cidr.address {
            let (first, last) = bounds(u32::from(address).into(), cidr.prefix, 32);
            self.v6.remove(TRANSLATED | first, TRANSLATED | last);
        }
    }

    /// Adds another set.
    pub fn join(&mut self, other: &Self) {
        other.v4.iter().for_each(|(a, b)| self.v4.add(a, b));
        other.v6.iter().for_each(|(a, b)| self.v6.add(a, b));
    }

    /// Takes another set out.
    pub fn take_out(&mut self, other: &Self) {
        other.v4.iter().for_each(|(a, b)| self.v4.remove(a, b));
        other.v6.iter().for_each(|(a, b)| self.v6.remove(a, b));
    }

    /// Keeps only what is in another set too.
    pub fn limit(&mut self, other: &Self) {
        self.v4.limit(&other.v4);
        self.v6.limit(&other.v6);
    }

    /// Whether there is no address in the set.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Some address of the set: the lowest, IPv4 first.
    pub fn example(&self) -> Option<IpAddr> {
        let v4 = self
            .v4
            .iter()
            .next()
            .and_then(|(first, _)| u32::try_from(first).ok());
        let v6 = || {
            self.v6
                .iter()
                .next()
                .map(|(first, _)| IpAddr::V6(first.into()))
        };
        v4.map(|first| IpAddr::V4(first.into())).or_else(v6)
    }

    /// Whether an address is in the set.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.contains(u32::from(address).into()),
            IpAddr::V6(address) => self.v6.contains(address.into()),
        }
    }

    /// Whether it holds a quarter or more of the public IPv4 or of the public IPv6 addresses.
    pub fn is_internet(&self) -> bool {
        // Most policies name a few small networks: no need to measure those.
        if self.v4.0.is_empty() && self.v6.0.is_empty() {
            return false;
        }
        let public = Self::public();
        let quarter = |own: &Intervals, all: &Intervals| {
            // Public IPv6 space has less than 2^125 addresses: four times that is no overflow.
            own.shared(all).saturating_mul(4) >= all.shared(all)
        };
        quarter(&self.v4, &public.v4)
            || quarter(&self.v6, &public.v6)
            || quarter(&self.with_translated(), &public.v4)
    }

    /// The IPv4 addresses, with those that are reached by translation.
    fn with_translated(&self) -> Intervals {
        let mut translated = Intervals::default();
        translated.add(TRANSLATED, TRANSLATED | u128::from(u32::MAX));
        translated.limit(&self.v6);
        let mut all = self.v4.clone();
        for (first, last) in translated.iter() {
            all.add(first - TRANSLATED, last - TRANSLATED);
        }
        all
    }

    fn side(&mut self, cidr: Cidr) -> (&mut Intervals, u128, u128) {
        match cidr.address {
            IpAddr::V4(address) => {
                let (first, last) = bounds(u32::from(address).into(), cidr.prefix, 32);
                (&mut self.v4, first, last)
            }
            // Written as IPv6: Go, and with it every implementation, reads a network of these.
            IpAddr::V6(address) if cidr.prefix >= 96 && address.to_ipv4_mapped().is_some() => {
                let address = address.to_ipv4_mapped().map_or(0, u32::from);
                let (first, last) = bounds(address.into(), cidr.prefix - 96, 32);
                (&mut self.v4, first, last)
            }
            IpAddr::V6(address) => {
                let (first, last) = bounds(address.into(), cidr.prefix, 128);
                (&mut self.v6, first, last)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn addresses(cidrs: &[&str]) -> Addresses {
        let mut set = Addresses::default();
        for cidr in cidrs {
            match cidr.strip_prefix('-') {
                Some(out) => set.remove(Cidr::parse(out).unwrap()),
                None => set.add(Cidr::parse(cidr).unwrap()),
            }
        }
        set
    }

    #[test]
    fn a_quarter_of_public_space_is_the_internet() {
        for (cidrs, internet) in [
            (&["0.0.0.0/0"][..], true),
            (&["::/0"], true),
            (&["0.0.0.0/1"], true),
            (&["0.0.0.0/2", "128.0.0.0/3"], true),
            (&["0.0.0.0/4"], false),
            (&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"], false),
            (&["224.0.0.0/3"], false),
            (&["fd00::/8"], false),
            (&["2000::/5"], true),
            (&["2000::/6"], false),
            (&["0.0.0.0/0", "-0.0.0.0/1", "-128.0.0.0/2"], false),
            (&["0.0.0.0/0", "-10.0.0.0/8"], true),
            // IPv4 in the clothes of IPv6.
            (&["64:ff9b::/96"], true),
            (&["64:ff9b::/98", "128.0.0.0/3"], true),
            (&["64:ff9b::10.0.0.0/104"], false),
            (&["::ffff:0:0/96"], true),
            (&["::ffff:10.0.0.0/104"], false),
        ] {
            assert_eq!(addresses(cidrs).is_internet(), internet, "{cidrs:?}");
        }
    }

    #[test]
    fn host_bits_of_a_network_are_ignored() {
        let set = addresses(&["10.1.2.3/8"]);
        assert!(set.contains("10.255.0.1".parse().unwrap()));
        assert!(!set.contains("11.0.0.1".parse().unwrap()));
        assert_eq!(addresses(&["::/0"]).v6.0, [(0, u128::MAX)]);
    }

    proptest! {
        /// Intervals against a plain set of numbers, at both ends of the number range.
        #[test]
        fn intervals_are_sets(
            top in any::<bool>(),
            steps in prop::collection::vec((any::<bool>(), 0u8..40, 0u8..12), 0..12),
        ) {
            let place = |n: u8| if top { u128::MAX - 60 + u128::from(n) } else { n.into() };
            let mut intervals = Intervals::default();
            let mut naive = BTreeSet::new();
            for (add, first, length) in steps {
                let last = first + length;
                if add {
                    intervals.add(place(first), place(last));
                    naive.extend(first..=last);
                } else {
                    intervals.remove(place(first), place(last));
                    naive.retain(|n| !(first..=last).contains(n));
                }
            }
            for n in 0..=60u8 {
                prop_assert_eq!(intervals.contains(place(n)), naive.contains(&n), "{}", n);
            }
            let mut window = Intervals::default();
            window.add(place(5), place(20));
            window.add(place(30), place(45));
            let mut within = intervals.clone();
            within.limit(&window);
            for n in 0..=60u8 {
                let both = intervals.contains(place(n)) && window.contains(place(n));
                prop_assert_eq!(within.contains(place(n)), both, "{}", n);
            }
            let inside = naive.iter().filter(|n| (5..=20).contains(*n) || (30..=45).contains(*n));
            prop_assert_eq!(intervals.shared(&window), inside.count() as u128);
            // Sorted, with a gap between neighbours: equal sets are equal values.
            let pairs: Vec<_> = intervals.iter().collect();
            prop_assert!(pairs.windows(2).all(|w| w[0].1 + 1 < w[1].0));
        }
    }
}
