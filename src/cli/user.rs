//! `andon user …`

use std::io::{IsTerminal, Read};

use andon::gateway::account::password;
use andon::gateway::rights::UserRole;
use andon::store::account::NewUser;
use anyhow::{Context as _, anyhow};
use clap::Subcommand;
use rand::RngExt;
use serde_json::json;

use super::failure::WrongUsage;
use super::output::{self, Format, FormatArg};
use super::{Context, servers};

/// Letters and digits that are not mistaken for each other.
const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Of a generated password: some 115 bits.
const GENERATED: usize = 20;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a user. The password comes from standard input, or is generated and printed once.
    Create {
        /// Of everybody but a SUPER_ADMIN.
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
        /// SUPER_ADMIN, ADMIN, MANAGER, OPERATOR or VIEWER.
        #[arg(long, value_name = "R")]
        role: String,
        username: String,
        #[command(flatten)]
        format: FormatArg,
    },
}

pub async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let Command::Create { tenant, role, username, format } = command;
    let role = UserRole::parse(&role.to_uppercase()).ok_or_else(|| {
        WrongUsage(format!("{role:?} is no role: write SUPER_ADMIN, ADMIN, MANAGER, OPERATOR or VIEWER"))
    })?;
    if tenant.is_none() != (role == UserRole::SuperAdmin) {
        let problem = "a SUPER_ADMIN is of no tenant, everybody else of one: name it with --tenant";
        return Err(WrongUsage(problem.to_owned()).into());
    }
    if username.trim().is_empty() || username.trim() != username {
        return Err(WrongUsage(format!("{username:?} is no user name: write it without blanks around it")).into());
    }
    let given = given_password()?;
    let password = given.clone().unwrap_or_else(generated_password);
    let hashed = password::hash(&password).context("failed to set the password")?;
    let store = servers::store(&context.config).await?;
    let tenant = match tenant {
        None => None,
        Some(name) => {
            let all = store.tenants().await.context("failed to read the tenants")?;
            let found = all.into_iter().find(|tenant| tenant.name == name);
            Some(found.ok_or_else(|| anyhow!("tenant {name} does not exist: create it with `andon tenant apply`"))?)
        }
    };
    let user = NewUser { tenant: tenant.as_ref(), username: &username, password: &hashed, role: role.as_str() };
    store.create_user(&user).await.context("failed to create the user")?;
    let shown = given.is_none().then_some(&password);
    if format.format == Format::Json {
        let tenant = tenant.map(|tenant| tenant.name);
        return output::json(
            &json!({"username": username, "role": role.as_str(), "tenant": tenant, "password": shown}),
        );
    }
    println!("user {username}: created");
    if let Some(password) = shown {
        println!("password: {password}\nIt is not shown again.");
    }
    Ok(())
}

/// The first line of standard input, unless that is a terminal or empty.
fn given_password() -> anyhow::Result<Option<String>> {
    let mut input = std::io::stdin();
    if input.is_terminal() {
        return Ok(None);
    }
    let mut text = String::new();
    input.read_to_string(&mut text).context("failed to read the password from standard input")?;
    let first = text.lines().next().unwrap_or_default();
    Ok((!first.is_empty()).then(|| first.to_owned()))
}

fn generated_password() -> String {
    let mut random = rand::rng();
    (0..GENERATED).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_password_is_taken_and_never_the_same() {
        let password = generated_password();
        assert!(password::hash(&password).is_ok());
        assert_ne!(password, generated_password());
    }
}
