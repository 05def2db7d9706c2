//! Values that follow from a node and a number, so that whatever is stored can
//! be traced to what was said.

use crate::rng::hash;

/// The values of measurement `number` of a node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    number: usize,
    open_circuit: f64,
    input: f64,
    battery: f64,
    charge: f64,
    temperature: f64,
    status: u16,
}

impl Sample {
    pub(crate) fn of(node: &str, number: usize) -> Self {
        let chance = hash(number as u64, node.as_bytes());
        let part = |shift: u32, below: u64| u32::try_from((chance >> shift) % below).unwrap();
        Self {
            number,
            open_circuit: f64::from(part(0, 24_000)) / 1000.0,
            input: f64::from(part(8, 22_000)) / 1000.0,
            battery: f64::from(10_000 + part(16, 4_500)) / 1000.0,
            charge: f64::from(part(24, 101)),
            temperature: f64::from(part(32, 5_000)) / 100.0,
            status: [0x900, 0x500, 0x300, 0x110, 0x480, 0x102][part(40, 6) as usize],
        }
    }

    /// The line of a log, without its end. The number of the measurement stands
    /// in the place of the time to shutdown.
    pub(crate) fn line(&self, node: &str, reported: i64) -> String {
        let Self { number, open_circuit, input, battery, charge, temperature, status } = self;
        format!(
            "{node};1;{reported};ESP_2.0;{number};0;{open_circuit};{input};{battery};{charge};100;\
             {temperature};11.9;14.25;7.2;10;52.52;13.4;{status:03x}"
        )
    }

    /// A telemetry message; every third has a health that is no JSON.
    pub(crate) fn telemetry(&self) -> String {
        let Self { number, open_circuit, input, battery, charge, temperature, status } = self;
        let health = if self.has_odd_health() { "-inf" } else { "100" };
        format!(
            r#"{{"batteryVoltage":{battery},"status":"{status:03x}","batteryHealthEstimate":{health},"latitude":52.52,"ratedSolarModuleCapacity":10,"rateBatteryCapacity":7.2,"timeToShutdown":{number},"batteryChargeEstimate":"{charge}","temperatureCorrectedVoltage":14.25,"lowVoltageDisconnectVoltage":11.9,"openCircuitVoltage":{open_circuit},"longitude":13.4,"mppVoltage":{input},"isPowerSaveMode":0,"batteryTemperature":{temperature}}}"#
        )
    }

    /// A telemetry message that repeats a line.
    pub(crate) fn repeated_telemetry(&self) -> String {
        self.telemetry().replace("-inf", "100")
    }

    /// The columns of the database, in the order of [`COLUMNS`](Self::COLUMNS).
    pub(crate) fn columns(&self, is_telemetry: bool) -> [Option<f64>; 13] {
        let health = (!is_telemetry || !self.has_odd_health()).then_some(100.0);
        [
            Some(self.open_circuit),
            Some(self.input),
            Some(self.battery),
            Some(self.charge),
            health,
            Some(self.temperature),
            Some(11.9),
            Some(14.25),
            Some(7.2),
            Some(10.0),
            Some(52.52),
            Some(13.4),
            Some(f64::from(self.status)),
        ]
    }

    pub(crate) const COLUMNS: [&str; 13] = [
        "open_circuit_voltage",
        "mpp_voltage",
        "battery_voltage",
        "state_of_charge",
        "battery_health",
        "battery_temperature",
        "low_voltage_disconnect",
        "charge_end_voltage",
        "battery_capacity",
        "module_power",
        "latitude",
        "longitude",
        "status",
    ];

    const fn has_odd_health(&self) -> bool {
        self.number.is_multiple_of(3)
    }
}
