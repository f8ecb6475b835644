//! Figures that a command draws instead of panels: `[figure]` with `drawing = "STAGE"`.

use std::collections::BTreeMap;

use super::curves::Sources;
use super::node::{Diagnostic, Node, did_you_mean};
use crate::graph::{Input, Stage};
use base::work::{Command, Figure, FontSize, KindName, OutputFormat, Width, Work};

/// Returns the stage of a figure whose drawings, and numbers if there are any, are outputs of a command.
pub fn stage(
    (name, title): (&str, &str),
    (drawing, node): (&str, &Node),
    sources: Sources<'_>,
    complaints: &mut Vec<Diagnostic>,
) -> Option<Stage> {
    match inputs(drawing, sources) {
        Ok(inputs) => {
            let drawn = inputs.keys().map(|output| (*output).to_owned()).collect();
            let (name, title) = (name.to_owned(), title.to_owned());
            let figure = Figure {
                name: name.clone(),
                title,
                note: String::new(),
                columns: 1,
                // The command decides how large its drawings are.
                width: Width::default(),
                font_size: FontSize::default(),
                panels: Vec::new(),
                drawn,
            };
            Some(Stage { name, work: Work::Figure(figure), inputs: inputs.into_values().collect() })
        }
        Err(message) => {
            complaints.push(node.complain(message));
            None
        }
    }
}

/// Returns the outputs of a command that make up a figure, by the name of the figure's output.
fn inputs(drawing: &str, sources: Sources<'_>) -> Result<BTreeMap<&'static str, Input>, String> {
    let Some(family) = sources.families.get(drawing) else {
        let hint = did_you_mean(drawing, sources.families.keys().map(String::as_str));
        return Err(format!("`drawing` names the stage `{drawing}`, which does not exist{hint}"));
    };
    let kind = family.kind.map_or("", KindName::name);
    let stages: Vec<_> = family.instances.values().flat_map(|instance| &instance.checkpoints).collect();
    let [checkpoint] = stages[..] else {
        let count = stages.len();
        return Err(format!(
            "`drawing` needs one stage, but `{drawing}` stands for {count}, one for each value of a setting or each \
             checkpoint: let a command without them read what they return"
        ));
    };
    let stage = checkpoint.stage;
    let Work::Command(command) = &sources.graph.stages[stage].work else {
        return Err(format!("`drawing` needs a stage of kind command, but `{drawing}` is a {kind}"));
    };
    let mut inputs = BTreeMap::new();
    for (recorded, name, out) in command.outputs() {
        let output = match out.format {
            OutputFormat::Svg => "svg",
            OutputFormat::Pdf => "pdf",
            OutputFormat::Png => "png",
            OutputFormat::Table if name == "numbers" => "numbers",
            OutputFormat::Table | OutputFormat::Json | OutputFormat::Weights | OutputFormat::File => continue,
        };
        let input = Input { role: output.to_owned(), stage, output: recorded };
        if inputs.insert(output, input).is_some() {
            return Err(format!("`{drawing}` has two outputs of format {output}, but a figure has one"));
        }
    }
    match inputs.keys().all(|output| *output == "numbers") {
        true => Err(format!("`{drawing}` has no output of format svg, pdf or png{}", such_as(command))),
        false => Ok(inputs),
    }
}

/// Returns an example of how to declare a drawing.
fn such_as(command: &Command) -> String {
    let outs = command.out.iter().filter(|(_, out)| out.format == OutputFormat::File).map(|(name, _)| name).next();
    outs.map_or_else(
        || ": declare one, such as out = { svg = \"svg\" }".to_owned(),
        |name| format!(": declare the format of `{name}`, such as out = {{ {name} = \"svg\" }}"),
    )
}
