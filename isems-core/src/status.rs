//! The twelve status bits of a node.

use std::fmt;

/// Twelve status bits, most significant first, as the firmware sends them in
/// field 19 (`status`): three upper-case hex digits.
///
/// All twelve are kept, also the unused one; more than twelve are masked off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NodeStatus(u16);

impl NodeStatus {
    /// `800`: the battery is being charged.
    pub const CHARGING: Self = Self(0x800);
    /// `400`: the battery is being discharged.
    pub const DISCHARGING: Self = Self(0x400);
    /// `200`: the battery is full.
    pub const FULLY_CHARGED: Self = Self(0x200);
    /// `100`: the battery is healthy.
    pub const HEALTHY: Self = Self(0x100);
    /// `080`: battery level low, increased wear (warning).
    pub const BATTERY_LOW: Self = Self(0x080);
    /// `040`: energy storage too small for this load (error).
    pub const STORAGE_TOO_SMALL: Self = Self(0x040);
    /// `020`: temperature sensor missing (warning).
    pub const SENSOR_MISSING: Self = Self(0x020);
    /// `010`: no communication with the charge controller (critical). The
    /// zeros that accompany it are not measurements.
    pub const CONTROLLER_SILENT: Self = Self(0x010);
    /// `008`: overheating (error).
    pub const OVERHEATING: Self = Self(0x008);
    /// `004`: too cold (warning).
    pub const TOO_COLD: Self = Self(0x004);
    /// `002`: do not flash firmware now.
    pub const DO_NOT_FLASH: Self = Self(0x002);

    const MASK: u16 = 0xFFF;

    /// The lower twelve bits of `bits`.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & Self::MASK)
    }

    /// The twelve bits as a number, `0..=0xFFF`.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether every bit of `other` is set here.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits that are set here or in `other`.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// One to four hex digits of either case with optional `0x`, surrounding
    /// blanks ignored; `None` for anything else.
    ///
    /// ```
    /// # use isems_core::NodeStatus;
    /// let status = NodeStatus::from_hex("0B2").unwrap();
    /// assert!(status.contains(NodeStatus::CONTROLLER_SILENT));
    /// assert_eq!(status.to_string(), "0B2");
    /// assert_eq!(NodeStatus::from_hex("0x1900"), NodeStatus::from_hex("900"));
    /// assert_eq!(NodeStatus::from_hex("nine"), None);
    /// ```
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        let plain =
            (1..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
        if !plain {
            return None;
        }
        u16::from_str_radix(digits, 16).ok().map(Self::from_bits)
    }
}

impl fmt::Display for NodeStatus {
    /// Three upper-case hex digits, as on the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03X}", self.0)
    }
}
