//! The JSON Schema (2020-12) of `doprax.yaml`, for editors. It accepts what
//! [`crate::manifest`] accepts; what no schema can say (a hostname used twice, a front
//! that does not exist) only the manifest itself refuses.

use crate::manifest::{KnownPlugin, MAX_SERVICES};
use crate::release::MAX_RETAIN;
use serde_json::{Map, Value, json};

/// A plugin with the JSON Schema of its settings, where it is known.
#[derive(Debug, Clone, Copy)]
pub struct PluginSchema<'a> {
    /// The plugin.
    pub plugin: &'a KnownPlugin,
    /// The schema of its settings.
    pub settings: Option<&'a Value>,
}

/// The schema of the file where `plugins` are installed.
pub fn schema(plugins: &[PluginSchema<'_>]) -> Value {
    let main = main_properties();
    let mut properties = Map::new();
    properties.insert(
        "app".to_owned(),
        described(
            "#/$defs/label",
            "The app's name and subdomain; else the folder's name.",
            json!(["guestbook"]),
        ),
    );
    properties.insert(
        "front".to_owned(),
        described("#/$defs/label", "The container that the ingress talks to; else the first service that exposes 80 or 443, else main.", json!(["main", "nginx"])),
    );
    properties.insert(
        "retain".to_owned(),
        json!({
            "description": "How many releases are kept to go back to; else as many as the host keeps, 10.",
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_RETAIN,
            "examples": [3],
        }),
    );
    properties.insert(
        "main".to_owned(),
        json!({
            "description": "The container that is built from the Dockerfile at the root of the source. Its keys may stand at the top of the file instead.",
            "type": ["object", "null"],
            "properties": main,
            "additionalProperties": false,
        }),
    );
    properties.insert(
        "services".to_owned(),
        json!({
            "description": "The other containers. Each item is the name of a plugin, which is also the service's name and hostname.",
            "type": ["array", "null"],
            "maxItems": MAX_SERVICES,
            "items": services(plugins),
            "examples": [[{ "mysql": { "tag": 5.7 } }, { "redis": null }]],
        }),
    );
    properties.insert("domains".to_owned(), domains());
    // With `main` in the file, none of its keys stands at the top.
    let not_at_top: Map<String, Value> = main
        .keys()
        .map(|key| (key.clone(), Value::Bool(false)))
        .collect();
    properties.extend(main);

    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "doprax.yaml",
        "description": "An app: main, its services, volumes, config files and domains.",
        "type": ["object", "null"],
        "properties": properties,
        "additionalProperties": false,
        "dependentSchemas": { "main": { "properties": not_at_top } },
        "$defs": definitions(),
    })
}

fn described(reference: &str, description: &str, examples: Value) -> Value {
    json!({ "$ref": reference, "description": description, "examples": examples })
}

fn main_properties() -> Map<String, Value> {
    let mut properties = container_properties();
    let path = |description: &str, example: &str| {
        json!({
            "description": description,
            "type": "string",
            "maxLength": 4096,
            "pattern": "^[^/~]",
            "not": { "pattern": "(^|/)\\.\\.(/|$)" },
            "examples": [example],
        })
    };
    let value = json!({ "type": ["string", "number", "boolean", "null"] });
    let name = "^[A-Za-z_][A-Za-z0-9_]*$";
    properties.insert("build".to_owned(), json!({
        "description": "How main's image is built; else from the Dockerfile at the root of the source, with all of the source.",
        "type": ["object", "null"],
        "properties": {
            "context": path("The folder that the build gets, below the folder of doprax.yaml.", "./web"),
            "dockerfile": path("The Dockerfile's path below the context.", "Dockerfile.prod"),
            "target": {
                "description": "The stage that is built; else the last one.",
                "type": ["string", "integer"],
                "pattern": "^[A-Za-z0-9_.-]{1,128}$",
                "examples": ["prod"],
            },
            "args": {
                "description": "Build arguments, as text. Who has the image can read them.",
                "anyOf": [
                    { "type": ["object", "null"], "propertyNames": { "pattern": name }, "additionalProperties": value },
                    { "type": "array", "items": { "type": "object", "minProperties": 1, "maxProperties": 1, "propertyNames": { "pattern": name }, "additionalProperties": value } },
                ],
                "examples": [{ "VERSION": 1.2 }],
            },
        },
        "additionalProperties": false,
    }));
    properties.insert("strategy".to_owned(), json!({
        "description": "How a new copy takes over: `rolling` starts it beside the old one and ends that when the new one is ready; `recreate` ends the old one first.",
        "enum": ["rolling", "recreate"],
    }));
    properties.insert("drain".to_owned(), json!({
        "description": "For how long a copy that was replaced goes on with what it has begun, before it is told to end: requests (30s where nothing is said), and upgraded connections such as WebSockets (0s: they go on until it has ended). A duration alone is that of requests.",
        "oneOf": [
            { "$ref": "#/$defs/duration" },
            {
                "type": ["object", "null"],
                "properties": {
                    "requests": described("#/$defs/duration", "Requests under way.", json!(["30s"])),
                    "upgraded": described("#/$defs/duration", "Upgraded connections, such as WebSockets.", json!(["5m"])),
                },
                "additionalProperties": false,
            },
        ],
        "examples": ["10s", { "upgraded": "5m" }],
    }));
    properties
}

fn container_properties() -> Map<String, Value> {
    let properties = json!({
        "port": {
            "description": "The port that the container listens on; else what its image exposes. `none` for what listens on no port: a worker. Nothing is published on the machine.",
            "anyOf": [{ "type": "integer", "minimum": 1, "maximum": 65535 }, { "const": "none" }],
            "examples": [5000, "none"],
        },
        "protocol": {
            "description": "What the ingress speaks with that port: `https` for a container that speaks only TLS there. Its certificate is not checked: nobody else is on the app's network.",
            "enum": ["http", "https"],
            "default": "http",
        },
        "command": {
            "description": "The command and its arguments, in place of the image's.",
            "type": "array",
            "minItems": 1,
            "items": { "$ref": "#/$defs/text" },
            "examples": [["gunicorn", "app"]],
        },
        "entrypoint": {
            "description": "What the command is given to, in place of the image's entrypoint; the image's command is left out then.",
            "type": "array",
            "minItems": 1,
            "items": { "$ref": "#/$defs/text" },
            "examples": [["/docker-entrypoint.sh"]],
        },
        "user": {
            "description": "The user, and after a colon the group, that the process runs as, in place of the image's.",
            "type": ["string", "integer"],
            "pattern": "^[A-Za-z0-9_.$][A-Za-z0-9_.$-]{0,63}(:[A-Za-z0-9_.$][A-Za-z0-9_.$-]{0,63})?$",
            "examples": ["app", "1000:1000"],
        },
        "init": {
            "description": "Whether a small init is the container's first process, which passes signals on and buries orphans. It is without this key, unless the image brings its own.",
            "type": "boolean",
        },
        "stop-signal": {
            "description": "The signal that ends the container in good order; else the image's, else SIGTERM.",
            "type": ["string", "integer"],
            "pattern": "^([Ss][Ii][Gg])?[A-Za-z]+[12]?([+-][0-9]{1,2})?$|^[0-9]{1,2}$",
            "examples": ["SIGINT"],
        },
        "stop-grace": described("#/$defs/duration", "How long the container may take to end before it is killed.", json!(["30s"])),
        "shm-size": described("#/$defs/size", "The size of its shared memory, /dev/shm; 64 MiB without this key.", json!(["256MiB"])),
        "resources": {
            "description": "Limits.",
            "type": ["object", "null"],
            "properties": {
                "memory": described("#/$defs/size", "Memory.", json!(["512MiB"])),
                "cpus": { "description": "Processors.", "type": "number", "minimum": 0.01, "maximum": 1024, "examples": [0.5] },
                "disk": described("#/$defs/size", "The container's own files, where the engine can limit them.", json!(["2GiB"])),
            },
            "additionalProperties": false,
        },
        "health": {
            "description": "How to find out whether the container serves; else what its plugin or its image's HEALTHCHECK says, else whether its port answers. It is asked before a new copy takes over and, less often, from then on.",
            "type": ["object", "null"],
            "properties": {
                "path": {
                    "description": "Path asked for by GET.",
                    "type": "string",
                    "pattern": "^/[!-\"$-~]*$",
                    "examples": ["/up"],
                },
                "host": {
                    "description": "Host that is asked for; else the app's first domain or its free name, and for a service that is not the front its own name.",
                    "type": "string",
                    "maxLength": 255,
                    "pattern": "^[A-Za-z0-9.:_\\[\\]-]+$",
                    "examples": ["www.example.com"],
                },
                "headers": {
                    "description": "Further fields of the request. Needs a path.",
                    "type": ["object", "null"],
                    "maxProperties": 32,
                    "propertyNames": { "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", "not": { "pattern": "^[Hh][Oo][Ss][Tt]$" } },
                    "additionalProperties": { "type": ["string", "number", "boolean"] },
                    "examples": [{ "Accept": "text/html" }],
                },
                "status": {
                    "description": "Answers that are good: a status, a range, or a list of them; else all below 400. Needs a path.",
                    "anyOf": [
                        { "$ref": "#/$defs/status" },
                        { "type": "array", "minItems": 1, "maxItems": 32, "items": { "$ref": "#/$defs/status" } },
                    ],
                    "examples": [200, "200-399", [200, 401]],
                },
                "interval": described("#/$defs/duration", "Pause between two tries; once it serves, never less than a second, and ten seconds where nothing is said.", json!(["2s"])),
                "timeout": described("#/$defs/duration", "How long it may take to become ready.", json!(["60s"])),
                "restart-after": {
                    "description": "Failures in a row after which a container that served is restarted; else it is only shown as unhealthy.",
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 1000,
                    "examples": [3],
                },
            },
            "dependentRequired": { "headers": ["path"], "status": ["path"] },
            "additionalProperties": false,
        },
        "volumes": {
            "description": "Folders that outlive the container. The same name is the same volume everywhere in the file.",
            "type": ["array", "null"],
            "items": {
                "type": "object",
                "properties": {
                    "name": { "description": "The volume's name within the app.", "type": ["string", "number"], "minLength": 1, "maxLength": 128, "examples": ["mysql_vol"] },
                    "mount": described("#/$defs/mount", "Where the container finds it.", json!(["/var/lib/mysql"])),
                },
                "required": ["name", "mount"],
                "additionalProperties": false,
            },
        },
        "envs": {
            "description": "Variables, one an item: `- NAME: value`. A value is text as written. `random`, `random_1`, … are generated secrets, the same word the same secret; `$NAME` and `${NAME}` come from outside.",
            "type": ["array", "null"],
            "items": { "$ref": "#/$defs/variable" },
            "examples": [[{ "DB_HOST": "mysql" }, { "DB_PASS": "random_1", "type": "password" }]],
        },
        "config_file": {
            "description": "Files of the source that are put into the container.",
            "type": ["array", "null"],
            "items": {
                "type": "object",
                "properties": {
                    "source": {
                        "description": "The file's path below the folder of doprax.yaml.",
                        "type": "string",
                        "pattern": "^[^/~]([^/]|/[^/])*$",
                        "not": { "pattern": "(^|/)\\.\\.(/|$)" },
                        "examples": ["./nginx.conf"],
                    },
                    "mount": described("#/$defs/mount", "The file's path in the container.", json!(["/etc/nginx/nginx.conf"])),
                    "mode": {
                        "description": "Whether the container may only read the file (`r`, the default) or write it too (`rw`), or its permission bits. Without bits, what only its owner may read in the source only its owner may read in the container.",
                        "anyOf": [{ "enum": ["r", "rw"] }, { "type": ["string", "integer"], "pattern": "^(0o)?[0-7]{3}$|^(0o)?0[0-7]{3}$" }],
                        "examples": ["r", "rw", "0640"],
                    },
                    "owner": {
                        "description": "The user, and after a colon the group, whose the file is in the container. Without it, a file that not everybody may read, or that the container may write, is the user's that the container runs as; any other is root's.",
                        "type": ["string", "integer"],
                        "pattern": "^[A-Za-z0-9_.$][A-Za-z0-9_.$-]{0,63}(:[A-Za-z0-9_.$][A-Za-z0-9_.$-]{0,63})?$",
                        "examples": ["postgres", "999:999"],
                    },
                },
                "required": ["source", "mount"],
                "additionalProperties": false,
            },
        },
    });
    match properties {
        Value::Object(properties) => properties,
        _ => Map::new(),
    }
}

fn service_properties(settings: Option<&Value>, plugin: &str) -> Map<String, Value> {
    let mut properties = container_properties();
    properties.insert(
        "name".to_owned(),
        described(
            "#/$defs/label",
            "The service's name and hostname; else the plugin's name as written here.",
            json!(["orders-db"]),
        ),
    );
    properties.insert("tag".to_owned(), json!({
        "description": "The version, as the image's tag. Text, never a number: 5.10 is not 5.1.",
        "type": ["string", "number"],
        "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$",
        "examples": ["5.7", "latest"],
    }));
    properties.insert(
        "image".to_owned(),
        json!({
            "description": "An image in place of the one that the plugin chooses.",
            "type": "string",
            "pattern": "^[a-z0-9A-Z][^\\s]*$",
            "examples": ["ghcr.io/acme/worker:1.4"],
        }),
    );
    let mut settings = match settings {
        Some(Value::Object(settings)) => {
            let mut settings = settings.clone();
            // Its own references begin at its own root.
            settings.insert(
                "$id".to_owned(),
                format!("urn:doprax:settings:{plugin}").into(),
            );
            settings.remove("$schema");
            json!({ "anyOf": [settings, { "type": "null" }] })
        }
        _ => json!({ "type": ["object", "null"] }),
    };
    settings["description"] = "What the plugin lets choose.".into();
    properties.insert("settings".to_owned(), settings);
    properties
}

fn services(plugins: &[PluginSchema<'_>]) -> Value {
    let mut properties = Map::new();
    for PluginSchema { plugin, settings } in plugins {
        let service = json!({
            "type": ["object", "null"],
            "properties": service_properties(*settings, plugin.name.as_str()),
            "additionalProperties": false,
        });
        properties.insert(plugin.name.to_string(), service);
        for alias in &plugin.aliases {
            // A schema with an identifier must stand in one place only.
            let pointer = format!("#/properties/services/items/properties/{}", plugin.name);
            properties.insert(alias.to_string(), json!({ "$ref": pointer }));
        }
    }
    if let Some(container) = properties.get_mut(crate::manifest::CONTAINER_PLUGIN) {
        *container = json!({
            "type": "object",
            "properties": container["properties"],
            "required": ["image"],
            "additionalProperties": false,
        });
        if let Some(properties) = container["properties"].as_object_mut() {
            properties.remove("tag");
        }
    }
    json!({ "type": "object", "minProperties": 1, "maxProperties": 1, "properties": properties, "additionalProperties": false })
}

fn domains() -> Value {
    json!({
        "description": "Host names beside the free subdomain.",
        "type": ["array", "null"],
        "items": {
            "type": "object",
            "properties": {
                "name": {
                    "description": "The host name, in lower case. Letters beyond ASCII may be written as they are.",
                    "type": "string",
                    "maxLength": 253,
                    "anyOf": [
                        { "pattern": "^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" },
                        { "pattern": "[^\\u0000-\\u007f]" },
                    ],
                    "examples": ["example.com", "bücher.example"],
                },
                "www": {
                    "description": "Whether `www.` before it is the app's too; it is sent on.",
                    "type": "boolean",
                },
                "hsts": {
                    "description": "Whether browsers are told to use nothing but HTTPS for it, for a year.",
                    "type": "boolean",
                },
            },
            "required": ["name"],
            "additionalProperties": false,
        },
        "examples": [[{ "name": "example.com", "www": true }]],
    })
}

fn definitions() -> Value {
    json!({
        "label": {
            "type": ["string", "integer"],
            "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        },
        "text": {
            "description": "A text as written; a number or truth value keeps its characters.",
            "type": ["string", "number", "boolean"],
        },
        "status": {
            "type": ["string", "integer"],
            "pattern": "^[2-5][0-9]{2}(-[2-5][0-9]{2})?$",
            "minimum": 200,
            "maximum": 599,
        },
        "duration": {
            "type": "string",
            "pattern": "^([0-9]+(\\.[0-9]{1,3})?(ms|s|m|min|h))+$",
        },
        "size": {
            "type": ["string", "integer"],
            "pattern": "^[0-9]+(\\.[0-9]{1,6})? *([kKmMgGtT][iI]?[bB]?|[bB])?$",
            "minimum": 6_291_456,
        },
        "mount": {
            "type": "string",
            "maxLength": 4096,
            "pattern": "^/[./]*[^./]",
            "not": { "pattern": "(^|/)\\.\\.(/|$)" },
        },
        "variable": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": { "type": ["string", "number", "boolean", "null"] },
            "anyOf": [
                { "maxProperties": 1, "properties": { "type": { "not": { "enum": ["password", "secret"] } } } },
                {
                    "minProperties": 2,
                    "maxProperties": 2,
                    "required": ["type"],
                    "properties": {
                        "type": {
                            "description": "The value is masked wherever it is shown; with `secret`, `uuid` is a generated UUID.",
                            "enum": ["password", "secret"],
                        },
                    },
                },
            ],
        },
    })
}
