//! One connection to a device: questions and their answers, until the deadline.

use std::time::Duration;

use exporter_guest_sdk::net::{NetError, NetProblem, TcpStream};
use exporter_guest_sdk::{Failure, Net};

use crate::frame::{ReplyType, frame_len, frame_type};
use crate::reply::{Answer, ReplyError};
use crate::request::{Request, Variable};

/// More than any frame has, so that what comes behind one is seen.
const CHUNK: u32 = 1 << 17;

/// A connected device; dropping it closes the connection.
pub(crate) struct Device<T> {
    stream: T,
    endpoint: String,
    /// Of the whole probe. Each operation is given all of it: the host ends them at the call's
    /// deadline, so that no clock is needed here.
    timeout: Duration,
}

impl<T: TcpStream> Device<T> {
    pub(crate) fn connect(
        net: &impl Net<Tcp = T>,
        endpoint: &str,
        timeout: Duration,
    ) -> Result<Self, Failure> {
        let stream = net
            .connect(endpoint, timeout)
            .map_err(|error| match error.problem {
                NetProblem::Timeout => {
                    Failure::Timeout(format!("{endpoint}: could not connect in time"))
                }
                NetProblem::Denied(why) => Failure::Denied(format!(
                    "{endpoint} is not granted ({why}): `grants.tcp` in the plugin's sidecar, hdhomerun.plugin.yaml, has to cover it"
                )),
                _ => Failure::from(error),
            })?;
        Ok(Self {
            stream,
            endpoint: endpoint.to_owned(),
            timeout,
        })
    }

    /// Asks for one variable. After a failure the connection is of no more use: nobody knows where
    /// the next answer begins.
    pub(crate) fn get(&mut self, variable: Variable) -> Result<Answer, Failure> {
        let request = Request::get(variable);
        self.stream
            .write_all(request.as_bytes(), self.timeout)
            .map_err(|error| self.failed(error, variable, &[]))?;
        let reply = self.read_frame(variable)?;
        Answer::parse(&reply, variable).map_err(|error| self.nonsense(variable, &error))
    }

    /// Reads one frame, in however many pieces it comes.
    fn read_frame(&mut self, variable: Variable) -> Result<Vec<u8>, Failure> {
        let mut frame = Vec::new();
        loop {
            let chunk = self
                .stream
                .read(CHUNK, self.timeout)
                .map_err(|error| self.failed(error, variable, &frame))?;
            if chunk.is_empty() {
                let closed = NetError::new(&self.endpoint, NetProblem::Closed);
                return Err(self.failed(closed, variable, &frame));
            }
            frame.extend_from_slice(&chunk);
            // A frame of another type need not be waited for: its length may be anything.
            if let Some(found) = frame_type(&frame) {
                ReplyType::GetSet
                    .check(found)
                    .map_err(|error| self.nonsense(variable, &error.into()))?;
            }
            if frame_len(&frame).is_some_and(|whole| frame.len() >= whole) {
                // What has come too much is the frame's error: `parse` says it.
                return Ok(frame);
            }
        }
    }

    fn failed(&self, error: NetError, variable: Variable, frame: &[u8]) -> Failure {
        let endpoint = &self.endpoint;
        let received = match (frame.len(), frame_len(frame)) {
            (0, _) => "nothing came".to_owned(),
            (received, Some(whole)) => format!("{received} of {whole} bytes came"),
            (received, None) => format!("{received} bytes came"),
        };
        match error.problem {
            NetProblem::Timeout => Failure::Timeout(format!(
                "{endpoint}: no answer for {variable} in time: {received}"
            )),
            NetProblem::Closed => Failure::Unreachable(format!(
                "{endpoint}: the device closed the connection instead of answering for {variable}: {received}"
            )),
            _ => Failure::from(error),
        }
    }

    fn nonsense(&self, variable: Variable, error: &ReplyError) -> Failure {
        Failure::Invalid(format!(
            "{}: the answer for {variable}: {error}",
            self.endpoint
        ))
    }
}
