//! Where the arguments of a static probe are: what the compiler has written, such as `-4@%edi`.

/// An argument of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Argument {
    /// Bytes: 1, 2, 4 or 8.
    pub(super) size: u8,
    pub(super) signed: bool,
    pub(super) location: Location,
}

/// Registers are offsets in `struct pt_regs`, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Location {
    Constant(i64),
    Register(u16),
    /// In memory, so far from where a register points.
    Memory {
        register: u16,
        offset: i64,
    },
    /// The same, and further by another register's number, which is shifted to the left.
    Indexed {
        register: u16,
        index: u16,
        shift: u8,
        offset: i64,
    },
}

/// Whose assembly language it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Architecture {
    X86,
    Arm,
}

impl Architecture {
    pub(super) const OWN: Self = if cfg!(target_arch = "aarch64") {
        Self::Arm
    } else {
        Self::X86
    };
}

impl Argument {
    /// All of a probe. `Err`: what of it is not understood.
    pub(super) fn parse_all(text: &str, machine: Architecture) -> Result<Vec<Self>, String> {
        let mut arguments = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (argument, after) = Self::parse(rest, machine).ok_or_else(|| {
                let shown: String = rest.chars().take(48).collect();
                format!(
                    "expected argument {} as a constant, a register or memory at one, \
                     found `{shown}`",
                    arguments.len()
                )
            })?;
            arguments.push(argument);
            rest = after.trim_start();
        }
        Ok(arguments)
    }

    /// The first, and what follows.
    fn parse(text: &str, machine: Architecture) -> Option<(Self, &str)> {
        let (size, text) = text.split_once('@')?;
        let size: i8 = size.trim().parse().ok()?;
        let (location, rest) = match machine {
            Architecture::X86 => x86(text.trim_start())?,
            Architecture::Arm => arm(text.trim_start())?,
        };
        let argument = Self {
            size: size.unsigned_abs(),
            signed: size < 0,
            location,
        };
        matches!(argument.size, 1 | 2 | 4 | 8).then_some((argument, rest))
    }
}

fn word(text: &str) -> (&str, &str) {
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

fn x86(text: &str) -> Option<(Location, &str)> {
    if let Some(constant) = text.strip_prefix('$') {
        let (number, rest) = word(constant);
        return Some((Location::Constant(number.parse().ok()?), rest));
    }
    if text.starts_with('%') {
        let (name, rest) = word(text);
        return Some((Location::Register(x86_register(name)?), rest));
    }
    let (offset, text) = text.split_once('(')?;
    let (inner, rest) = text.split_once(')')?;
    let offset = match offset.trim() {
        "" => 0,
        number => number.parse().ok()?,
    };
    let mut parts = inner.split(',').map(str::trim);
    let register = x86_register(parts.next()?)?;
    let Some(index) = parts.next() else {
        return Some((Location::Memory { register, offset }, rest));
    };
    let shift = match parts.next() {
        None | Some("1") => 0,
        Some("2") => 1,
        Some("4") => 2,
        Some("8") => 3,
        Some(_) => return None,
    };
    let location = Location::Indexed {
        register,
        index: x86_register(index)?,
        shift,
        offset,
    };
    parts.next().is_none().then_some((location, rest))
}

/// The instruction pointer is not among them: an address relative to it is relative to an
/// instruction that is not known here.
fn x86_register(name: &str) -> Option<u16> {
    const REGISTERS: [(u16, [&str; 4]); 8] = [
        (32, ["rbp", "ebp", "bp", "bpl"]),
        (40, ["rbx", "ebx", "bx", "bl"]),
        (80, ["rax", "eax", "ax", "al"]),
        (88, ["rcx", "ecx", "cx", "cl"]),
        (96, ["rdx", "edx", "dx", "dl"]),
        (104, ["rsi", "esi", "si", "sil"]),
        (112, ["rdi", "edi", "di", "dil"]),
        (152, ["rsp", "esp", "sp", "spl"]),
    ];
    let name = name.strip_prefix('%')?;
    let known = REGISTERS.iter().find(|(_, names)| names.contains(&name));
    if let Some((offset, _)) = known {
        return Some(*offset);
    }
    let number = name.strip_prefix('r')?;
    let number = number.strip_suffix(['d', 'w', 'b']).unwrap_or(number);
    let number: u16 = number.parse().ok()?;
    // r15 is the first.
    match number {
        8..=11 => Some(48 + (11 - number) * 8),
        12..=15 => Some((15 - number) * 8),
        _ => None,
    }
}

fn arm(text: &str) -> Option<(Location, &str)> {
    let Some(text) = text.strip_prefix('[') else {
        let (text, rest) = word(text);
        let location = match text.parse() {
            Ok(number) => Location::Constant(number),
            Err(_) => Location::Register(arm_register(text)?),
        };
        return Some((location, rest));
    };
    let (inner, rest) = text.split_once(']')?;
    let (register, offset) = match inner.split_once(',') {
        None => (inner, 0),
        Some((register, offset)) => (register, offset.trim().parse().ok()?),
    };
    let register = arm_register(register.trim())?;
    Some((Location::Memory { register, offset }, rest))
}

fn arm_register(name: &str) -> Option<u16> {
    if name == "sp" {
        return Some(31 * 8);
    }
    let number: u16 = name.strip_prefix(['x', 'w'])?.parse().ok()?;
    (number <= 30).then_some(number * 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, machine: Architecture) -> Vec<(i8, Location)> {
        let arguments = Argument::parse_all(text, machine).unwrap();
        let size = |one: &Argument| {
            if one.signed {
                -(one.size as i8)
            } else {
                one.size as i8
            }
        };
        arguments
            .iter()
            .map(|one| (size(one), one.location))
            .collect()
    }

    #[test]
    fn of_x86() {
        use Location::{Constant, Indexed, Memory, Register};
        let memory = |register, offset| Memory { register, offset };
        assert_eq!(
            parse("-4@%edi 8@%r15 1@%r11b 2@%r8w 8@%r12", Architecture::X86),
            [
                (-4, Register(112)),
                (8, Register(0)),
                (1, Register(48)),
                (2, Register(72)),
                (8, Register(24))
            ]
        );
        assert_eq!(
            parse(
                "-8@$-7 4@$71 -4@-20(%rbp) 8@(%rsp) 8@ 16(%rax)",
                Architecture::X86
            ),
            [
                (-8, Constant(-7)),
                (4, Constant(71)),
                (-4, memory(32, -20)),
                (8, memory(152, 0)),
                (8, memory(80, 16))
            ]
        );
        let indexed = |offset, shift| Indexed {
            register: 32,
            index: 80,
            shift,
            offset,
        };
        assert_eq!(
            parse("1@-96(%rbp,%rax,8) 1@(%rbp,%rax)", Architecture::X86),
            [(1, indexed(-96, 3)), (1, indexed(0, 0))]
        );
        assert_eq!(parse("", Architecture::X86), []);
    }

    #[test]
    fn of_arm() {
        use Location::{Constant, Memory, Register};
        let memory = |register, offset| Memory { register, offset };
        assert_eq!(
            parse(
                "-4@x0 8@[sp, 12] 8@[x30] 4@5 -8@-9 8@[x2,-8]",
                Architecture::Arm
            ),
            [
                (-4, Register(0)),
                (8, memory(248, 12)),
                (8, memory(240, 0)),
                (4, Constant(5)),
                (-8, Constant(-9)),
                (8, memory(16, -8))
            ]
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "4",
            "4@",
            "3@%eax",
            "8f@%xmm0",
            "8@%xmm0",
            "4@name(%rip)",
            "4@-8(%rip)",
            "8@(%rax",
            "8@(%rax,%rbx,3)",
            "8@(%rax,%rbx,1,1)",
            "8@$0x10",
            "é@é",
            "-4@%edi junk",
        ] {
            assert!(
                Argument::parse_all(text, Architecture::X86).is_err(),
                "{text}"
            );
        }
        for text in ["8@[x31]", "8@[sp", "8@v0", "8@[x1, x2]"] {
            assert!(
                Argument::parse_all(text, Architecture::Arm).is_err(),
                "{text}"
            );
        }
    }
}
