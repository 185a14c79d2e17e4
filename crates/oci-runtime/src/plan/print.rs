//! The dry run: a plan as text for people and golden tests, and as JSON for programs.

use std::fmt::Write as _;

use oci_runtime_init::show::{Show, Visitor};
use serde_json::{Value, json};

use crate::scheduling::Attributes;

use super::{Lane, ParentOp, Plan, Step};

impl Plan {
    /// The whole plan, one line a step: number, lane, operation with its arguments, origin in config.json.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (number, step) in self.steps().iter().enumerate() {
            let lane = lane(step.lane);
            let _ = write!(text, "{number:4} {lane:6} {}", self.describe(step));
            if !step.origin.is_empty() {
                let _ = write!(text, "  <- {}", step.origin);
            }
            text.push('\n');
        }
        text
    }

    /// The whole plan as an array of objects `{number, lane, op, arguments, origin}`.
    pub fn to_json(&self) -> Value {
        let steps = self.steps().iter().enumerate().map(|(number, step)| {
            let (op, arguments) = self.call(step);
            let arguments: serde_json::Map<String, Value> = arguments
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            json!({
                "number": number,
                "lane": lane(step.lane),
                "op": op,
                "arguments": arguments,
                "origin": step.origin,
            })
        });
        Value::Array(steps.collect())
    }

    /// The operation of a step with its arguments.
    pub fn describe(&self, step: &Step) -> String {
        words(self.call(step))
    }

    fn call(&self, step: &Step) -> (&'static str, Arguments) {
        match (self.op(step), self.parent_op(step)) {
            (Some(op), _) => {
                let mut arguments = Arguments::new();
                op.fields(&mut |name, value| {
                    arguments.push((name, json(value)));
                });
                (op.name(), arguments)
            }
            (None, Some(op)) => parent_call(op),
            (None, None) => ("?", Arguments::new()),
        }
    }
}

impl ParentOp {
    /// The operation's name.
    pub fn name(&self) -> &'static str {
        parent_call(self).0
    }

    /// The operation with its arguments.
    pub fn describe(&self) -> String {
        words(parent_call(self))
    }
}

fn words((op, arguments): (&'static str, Arguments)) -> String {
    let mut text = op.to_owned();
    for (name, value) in &arguments {
        let _ = write!(text, " {name}={}", plain(value));
    }
    text
}

/// Names and values in the order of the operation's definition.
type Arguments = Vec<(&'static str, Value)>;

fn lane(lane: Lane) -> &'static str {
    match lane {
        Lane::Parent => "parent",
        Lane::Outer => "outer",
        Lane::Inner => "inner",
    }
}

fn parent_call(op: &ParentOp) -> (&'static str, Arguments) {
    let mut arguments = Arguments::new();
    let mut put = |name: &'static str, value: Value| arguments.push((name, value));
    let name = match op {
        ParentOp::CreateCgroup { paths } => {
            put("paths", json!(paths.0));
            "CreateCgroup"
        }
        ParentOp::StartUnit {
            unit,
            properties,
            paths,
        } => {
            put("unit", json!(unit.name));
            put("bus", json!(unit.bus));
            let properties = properties
                .iter()
                .map(|property| json!([property.name, property.value]));
            put("properties", properties.collect());
            put("paths", json!(paths.0));
            "StartUnit"
        }
        ParentOp::DelegateCgroup {
            directory,
            uid,
            gid,
        } => {
            put("directory", json!(directory));
            put("uid", json!(uid));
            put("gid", json!(gid));
            "DelegateCgroup"
        }
        ParentOp::ApplyLimits { limits } => {
            let writes = limits
                .writes
                .iter()
                .map(|write| json!(format!("{}={}", write.file.display(), write.value)));
            put("writes", writes.collect());
            put("device_program", json!(limits.device_program.is_some()));
            "ApplyLimits"
        }
        ParentOp::IdMaps { uid_map, gid_map } => {
            put("uid_map", json!(uid_map.trim_end()));
            put("gid_map", json!(gid_map.trim_end()));
            "IdMaps"
        }
        ParentOp::Hooks { hooks } => {
            put("paths", hooks.iter().map(|hook| json!(hook.path)).collect());
            "Hooks"
        }
        ParentOp::NetDevices { devices } => {
            let moves = devices
                .iter()
                .map(|device| json!(format!("{}:{}", device.name, device.target)));
            put("devices", moves.collect());
            "NetDevices"
        }
        ParentOp::SendListener { path, metadata } => {
            put("path", json!(path));
            put("metadata", json!(metadata));
            "SendListener"
        }
        ParentOp::RecordCalls { always } => {
            put("always", json!(always));
            "RecordCalls"
        }
        ParentOp::Scheduler { attributes } => {
            scheduler(&mut put, attributes);
            "Scheduler"
        }
        ParentOp::IoPriority { priority } => {
            put("class", json!(priority >> 13));
            put("level", json!(priority & 0x1fff));
            "IoPriority"
        }
        ParentOp::MakeClass { class } => {
            put("directory", json!(class.directory));
            put("schemas", json!(class.schemas));
            put("schemata", json!(class.schemata));
            put("monitoring", json!(class.monitoring));
            "MakeClass"
        }
        ParentOp::JoinClass => "JoinClass",
        ParentOp::SaveState => "SaveState",
    };
    (name, arguments)
}

fn scheduler(put: &mut impl FnMut(&'static str, Value), attributes: &Attributes) {
    put("policy", json!(attributes.policy));
    put("flags", json!(attributes.flags));
    put("nice", json!(attributes.nice));
    put("priority", json!(attributes.priority));
    put("runtime", json!(attributes.runtime));
    put("deadline", json!(attributes.deadline));
    put("period", json!(attributes.period));
}

/// The shortest text that is still unambiguous to a reader.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() || text.contains([' ', '\n', '"', ',']) => {
            format!("{text:?}")
        }
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{name}:{}", plain(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        other => other.to_string(),
    }
}

/// Makes a JSON value of whatever a field shows.
fn json(field: &dyn Show) -> Value {
    let mut collector = Collector {
        open: vec![Vec::new()],
    };
    field.show(&mut collector);
    collector
        .open
        .pop()
        .and_then(|mut values| values.pop())
        .unwrap_or(Value::Null)
}

struct Collector {
    /// The values of each list that is not ended yet, outermost first.
    open: Vec<Vec<Value>>,
}

impl Collector {
    fn put(&mut self, value: Value) {
        if let Some(list) = self.open.last_mut() {
            list.push(value);
        }
    }
}

impl Visitor for Collector {
    fn int(&mut self, value: i128) {
        let number = i64::try_from(value)
            .map(Value::from)
            .or_else(|_| u64::try_from(value).map(Value::from));
        self.put(number.unwrap_or_else(|_| Value::String(value.to_string())));
    }
    fn flag(&mut self, value: bool) {
        self.put(Value::Bool(value));
    }
    fn text(&mut self, value: &[u8]) {
        self.put(Value::String(String::from_utf8_lossy(value).into_owned()));
    }
    fn blob(&mut self, length: usize) {
        self.put(Value::String(format!("{length} bytes")));
    }
    fn begin(&mut self) {
        self.open.push(Vec::new());
    }
    fn end(&mut self) {
        let list = self.open.pop().unwrap_or_default();
        self.put(Value::Array(list));
    }
}
