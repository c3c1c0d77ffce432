//! What goes wrong around the daemon: crashes, drains, reloads, moods of Polar, faults of the disk, clocks.

use std::sync::Arc;
use std::time::Duration;

use floe::agent::Input;
use floe::config::Settings;
use floe::mapping::Rules;

use crate::invariants::Held;
use crate::polar::Mood;
use crate::shell::Job;
use crate::simulation::{Event, Simulation};

impl Simulation {
    /// Everything that was not durable is gone.
    pub fn crash(&mut self) {
        let Some(process) = &self.process else { return };
        let number = process.number;
        let is_own = |event: &Event| matches!(event, Event::Job { process, .. } if *process == number);
        let mut is_cut_off = false;
        for (_, event) in self.take_events(is_own) {
            let Event::Job { job, .. } = event else { continue };
            is_cut_off |= self.random.chance(50);
            self.interrupt(job, is_cut_off);
        }
        for (time, event) in self.take_events(|event| matches!(event, Event::Arrival { .. })) {
            let Event::Arrival { process, request, body, .. } = event else { continue };
            if self.random.chance(50) {
                self.at(time, Event::Arrival { process, request, body, answered: false });
            }
        }
        self.process_ends();
        let pause = self.random.delay_nanos(2_000, 600_000);
        self.after(pause, Event::Start);
    }

    /// Work that the crash met. Once one write is cut off, those after it do not happen.
    fn interrupt(&mut self, job: Job, is_cut_off: bool) {
        match job {
            Job::Save { checkpoint, .. } if !is_cut_off => {
                self.own_folder().save(checkpoint.to_vec());
            }
            // A disk that lies about what it has written.
            Job::Save { checkpoint, .. }
                if self.own_folder().previous.is_some() && self.random.chance(20) =>
            {
                let torn = self.random.place(checkpoint.len());
                self.note("the checkpoint is torn");
                self.own_folder().save(checkpoint[..torn].to_vec());
            }
            Job::SaveFloors { floors, .. } if !is_cut_off => self.floors_are_durable(&floors),
            Job::Quarantine { text, .. } if !is_cut_off => self.letters_are_durable(&text),
            _ => {}
        }
    }

    pub fn process_ends(&mut self) {
        let Some(process) = self.process.take() else { return };
        for node in process.handles.values() {
            self.disk.close_reader(*node);
        }
        self.excuse_what_is_gone();
    }

    pub fn drain(&mut self, within: Duration) -> Held {
        let now = self.now();
        let Some(process) = &mut self.process else { return Ok(()) };
        if std::mem::replace(&mut process.draining, true) {
            return Ok(());
        }
        self.feed(Input::Drain { by: now.moment + within })
    }

    pub fn reload_with(&mut self, settings: Settings) -> Held {
        let is_looking = self.any_event(|event| matches!(event, Event::Job { job: Job::Look, .. }));
        if let Some(process) = &mut self.process {
            process.looks_in_vain = is_looking;
        }
        self.settings = Arc::new(settings);
        let rules = Arc::new(Rules::compile(&self.settings));
        let settings = self.believed_settings();
        self.feed(Input::Reload { settings, rules })
    }

    pub fn polar_turns(&mut self) {
        let status = *self.random.pick(&[500, 502, 503, 408, 401, 403, 404]);
        let is_about_us = matches!(status, 401 | 403 | 404);
        self.polar.mood =
            if is_about_us || self.random.chance(50) { Mood::Answering(status) } else { Mood::Shaky(status) };
    }

    pub fn disk_fails(&mut self) {
        match self.random.below(4) {
            0 => self.faults.saving = true,
            1 => self.faults.quarantine = true,
            2 => self.faults.reading = true,
            _ => self.faults.opening = true,
        }
    }

    /// Mostly back to the truth, else up to two hours away.
    pub fn host_clock_jumps(&mut self) {
        let away = i64::try_from(self.random.below(4 * 3600)).expect("hours are few seconds") - 2 * 3600;
        let seconds = if self.random.chance(50) { 0 } else { away };
        self.host_ahead = jiff::SignedDuration::from_secs(seconds);
    }

    /// The state folder loses both checkpoints, which shows at the next start.
    pub fn lose_checkpoint(&mut self) {
        if self.state.current.is_some() {
            self.crash();
            self.state.current = Some(b"\0\0\0\0".to_vec());
            self.state.previous = None;
        }
    }
}
