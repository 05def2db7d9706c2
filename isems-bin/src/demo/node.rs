//! One simulated node: place, battery, controller and misfortune, from one log
//! line to the next. Time only ever comes in as an argument.

use isems_core::Timestamp;

use super::{
    battery::{Battery, Demand},
    controller::{Board, Controller, Inputs, Reading},
    noise::Noise,
    sky::Sky,
};

/// What is wrong with a node, if anything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// The temperature sensor came off at that time.
    SensorLostAt(Timestamp),
    /// The cable between router and controller broke at that time.
    ControllerSilentAt(Timestamp),
    /// The measuring script stopped at that time; the web server goes on.
    ScriptStoppedAt(Timestamp),
    /// The measuring script did not run between those times.
    ScriptPaused {
        /// From then on there are no lines.
        since: Timestamp,
        /// Then somebody started it again.
        until: Timestamp,
    },
}

/// What a node is and what it goes through.
#[derive(Clone, Debug)]
pub(super) struct Persona {
    /// Node id, field 1.
    pub(super) name: &'static str,
    /// One sentence for the person who watches the demo.
    pub(super) story: &'static str,
    pub(super) board: Board,
    pub(super) sky: Sky,
    /// How far the battery is from the weather: 0 outdoors, 1 in a heated room.
    pub(super) shelter: f64,
    /// Rated capacity in Ah.
    pub(super) capacity: f64,
    /// Rated power of the panel in W.
    pub(super) module: f64,
    /// What dirt and shade leave of the light, `0.0..=1.0`.
    pub(super) clean: f64,
    /// Power that the node takes, in W.
    pub(super) load: f64,
    /// State of charge when its log begins, `0.0..=1.0`.
    pub(super) charge: f64,
    pub(super) fault: Fault,
}

/// What a node has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// It was switched on: its log in RAM is gone.
    Booted,
    /// It measured: one line of its log, without line end.
    Measured {
        /// The true time.
        at: Timestamp,
        /// The line.
        line: String,
    },
}

/// Volts above the disconnect at which a controller switches the node on again.
const RECONNECT_VOLTS: f64 = 0.6;

/// The simulation of one node.
#[derive(Debug)]
pub(super) struct Node {
    persona: Persona,
    noise: Noise,
    battery: Battery,
    controller: Controller,
    /// Number of the next measurement.
    step: i64,
    /// When it is due.
    due: Timestamp,
    /// When the node was last switched on; `None` while the battery is too low.
    on_since: Option<Timestamp>,
    clock_is_set: bool,
}

impl Node {
    /// A node that is switched on at `start`. `seed` makes its noise its own.
    pub(super) fn new(persona: Persona, seed: u64, start: Timestamp) -> Self {
        let noise = Noise::new(seed);
        let battery = Battery::new(persona.capacity, persona.charge);
        let controller = Controller::new(persona.board, noise, persona.charge);
        Self {
            persona,
            noise,
            battery,
            controller,
            step: 0,
            due: start,
            on_since: Some(start),
            clock_is_set: false,
        }
    }

    /// Lives on until `now` and tells what happened since the last call.
    pub(super) fn advance(&mut self, now: Timestamp) -> Vec<Event> {
        let mut events = Vec::new();
        while self.due <= now {
            self.live_one_interval(&mut events);
        }
        events
    }

    fn live_one_interval(&mut self, events: &mut Vec<Event>) {
        let at = self.due;
        let firmware = self.persona.board.firmware();
        let seconds = firmware.interval + self.lateness();
        let light = self.persona.sky.irradiance(at);
        let temperature = self.battery_temperature(at);
        let load = if self.on_since.is_some() { self.persona.load } else { 0.0 };
        let demand = Demand {
            // A quarter of the rated power is lost in heat and wires.
            panel_watts: 0.75 * self.persona.module * self.persona.clean * light / 1_000.0,
            load_watts: load,
            temperature,
        };
        let flow = self.battery.step(demand, seconds as f64);

        self.switch(at, events);
        if let Some(since) = self.on_since {
            let countdown = firmware.countdown - at.since(since) / firmware.tick;
            let inputs = Inputs {
                // A covered panel loses its current, but little of its voltage.
                irradiance: light * self.persona.clean.sqrt(),
                limited: flow.limited,
                battery_volts: self.battery.volts(),
                temperature: Some(temperature),
                countdown,
            };
            if let Some(line) = self.line(at, inputs) {
                events.push(Event::Measured { at, line });
            }
        }
        self.step += 1;
        self.due = at.plus(seconds);
    }

    /// The controller's low-voltage disconnect, and the watchdog that cuts the
    /// power when its countdown ends.
    fn switch(&mut self, at: Timestamp, events: &mut Vec<Event>) {
        let firmware = self.persona.board.firmware();
        let disconnect = firmware.low_voltage_disconnect;
        let volts = self.battery.volts();
        match self.on_since {
            Some(_) if volts < disconnect => self.on_since = None,
            Some(since) if at.since(since) >= firmware.countdown * firmware.tick => {
                self.boot(at, events);
            }
            None if volts > disconnect + RECONNECT_VOLTS => self.boot(at, events),
            _ => {}
        }
    }

    fn boot(&mut self, at: Timestamp, events: &mut Vec<Event>) {
        self.on_since = Some(at);
        self.clock_is_set = false;
        events.push(Event::Booted);
    }

    fn line(&mut self, at: Timestamp, mut inputs: Inputs) -> Option<String> {
        let silent = match self.persona.fault {
            Fault::ScriptStoppedAt(since) if at >= since => return None,
            Fault::ScriptPaused { since, until } if at >= since && at < until => return None,
            Fault::ControllerSilentAt(since) => at >= since,
            Fault::SensorLostAt(since) if at >= since => {
                inputs.temperature = None;
                false
            }
            _ => false,
        };
        // The first line after a boot is written before NTP has set the clock.
        let clock = if self.clock_is_set {
            at.as_unix()
        } else {
            self.persona.board.firmware().unset_clock
        };
        self.clock_is_set = true;
        Some(if silent {
            self.silent_line(clock)
        } else {
            let reading = self.controller.measure(inputs, self.step);
            self.full_line(clock, inputs.countdown, &reading)
        })
    }

    fn full_line(&self, clock: i64, countdown: i64, reading: &Reading) -> String {
        let persona = &self.persona;
        let firmware = persona.board.firmware();
        // Rust's shortest form of a number with three decimals is what `%.14g`
        // prints.
        format!(
            "{};1;{clock};{};{countdown};0;{};{};{};{};100;{};{};{};{};{};{};{};{}",
            persona.name,
            firmware.name,
            reading.open_circuit_volts,
            reading.mpp_volts,
            reading.battery_volts,
            reading.charge_percent,
            reading.temperature,
            firmware.low_voltage_disconnect,
            reading.charge_end_volts,
            persona.capacity,
            persona.module,
            persona.sky.latitude,
            persona.sky.longitude,
            reading.status,
        )
    }

    /// What a router's script writes when its controller does not answer.
    fn silent_line(&self, clock: i64) -> String {
        let persona = &self.persona;
        format!(
            "{};1;{clock};;0;0;0;0;0;0;0;0;0;0;{};{};{};{};0B2",
            persona.name,
            persona.capacity,
            persona.module,
            persona.sky.latitude,
            persona.sky.longitude,
        )
    }

    /// Seconds by which a measurement is early or late: a router's loop takes
    /// 60 to 62 s.
    fn lateness(&self) -> i64 {
        if self.persona.board == Board::Esp32 {
            return 0;
        }
        match self.noise.at(20, self.step) {
            early if early < 0.13 => -1,
            late if late > 0.91 => 1,
            _ => 0,
        }
    }

    fn battery_temperature(&self, at: Timestamp) -> f64 {
        let outdoors = self.persona.sky.air_temperature(at);
        outdoors + (16.0 - outdoors) * self.persona.shelter
    }
}

#[cfg(test)]
mod tests;
