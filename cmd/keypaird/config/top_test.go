package config

import "testing"

func TestTopMistakes(t *testing.T) { testMistakes(t, topMistakes) }

var topMistakes = []mistaken{
	{"address as a name of the page", "[status]\nnames = [\"status.example.org:8403\"]", `
2: status.names: "status.example.org:8403" is not the name of a host
-> write the name alone, such as "status.example.org"
`},
	{"mail address with a name", `email = "Ann <ann@example.org>"`, `
1: email: "Ann <ann@example.org>" is not a mail address
-> write one address and nothing else: "hostmaster@example.org"
`},
	{"two mail addresses", `email = "ann@example.org, bob@example.org"`, `
1: email: "ann@example.org, bob@example.org" is not a mail address
-> write one address and nothing else: "hostmaster@example.org"
`},
	{"mail address that adds header fields", `email = "ann?subject=x@example.org"`, `
1: email: "ann?subject=x@example.org" is not a mail address
-> write one address and nothing else: "hostmaster@example.org"
`},
	{"number for a string", `email = 5`, `
1: email: is a number, not a string
-> write it in quotes: "..."
`},
	{"keys are case sensitive", `Email = "ann@example.org"`, `
1: Email: unknown key
-> did you mean "email"?
`},
	{"relative state directory", `state = "var"`, `
1: state: "var" is not an absolute path
-> write the path from / on
`},
	{"root as state directory", `state = "/"`, `
1: state: is the root directory
-> give keypaird a directory of its own: "/var/lib/keypaird"
`},
	{"no state directory", `state = ""`, `
1: state: "" is not an absolute path
-> write the path from / on
`},
	{"no CA", `sign_with = []`, `
1: sign_with: names no CA
-> name a CA: ["letsencrypt"]
`},
	{"CA misspelt", `sign_with = ["letsencript"]`, `
1: sign_with: no CA is called "letsencript"
-> did you mean "letsencrypt"? (or add a table [ca.NAME])
`},
	{"unknown CA", `sign_with = ["myown"]`, `
1: sign_with: no CA is called "myown"
-> write one of: actalis buypass-free buypass-free-staging google google-staging letsencrypt letsencrypt-staging sslcom zerossl (or add a table [ca.NAME])
`},
	{"string for a list", `sign_with = "letsencrypt"`, `
1: sign_with: is a string, not a list
-> write a list: ["...", "..."]
`},
	{"CA named twice, and wanting an external account", `sign_with = ["zerossl", "zerossl"]`, `
1: sign_with: zerossl requires an external account
-> add [ca.zerossl] with eab_kid and eab_hmac_file, from app.zerossl.com/developer
1: sign_with: "zerossl" stands twice
-> name it once
`},
	{"number in a list of strings", `sign_with = ["letsencrypt", 5]`, `
1: sign_with: item 2 is a number, not a string
-> put each item in quotes: ["...", "..."]
`},
	{"a day that never comes", `schedule = "0 0 31 2 *"`, `
1: schedule: "0 0 31 2 *" never happens: no time matches it
-> write a cron line of five fields, or "@every 30m"
`},
	{"time zone that makes the library panic", `schedule = "TZ=UTC"`, `
1: schedule: "TZ=UTC" is a time zone without a cron expression
-> write a cron line of five fields, or "@every 30m"
`},
	{"another", `window = "CRON_TZ=Europe/Berlin "`, `
1: window: "CRON_TZ=Europe/Berlin" is a time zone without a cron expression
-> write the minutes as a cron line of five fields: "* 3 * * *"
`},
	{"unknown time zone", `schedule = "CRON_TZ=Europe/Berlyn 0 3 * * *"`, `
1: schedule: "Europe/Berlyn" is not a time zone known on this machine
-> write it as in "TZ=Europe/Berlin 0 3 * * *", or leave it out: local time counts
`},
	{"time zone left empty", `schedule = "TZ= 0 3 * * *"`, `
1: schedule: "" is not a time zone known on this machine
-> write it as in "TZ=Europe/Berlin 0 3 * * *", or leave it out: local time counts
`},
	{"time zone, and a day that never comes", `schedule = "TZ=UTC 0 0 30 2 *"`, `
1: schedule: "TZ=UTC 0 0 30 2 *" never happens: no time matches it
-> write a cron line of five fields, or "@every 30m"
`},
	{"too often in a time zone", `schedule = "TZ=UTC @every 1s"`, `
1: schedule: "TZ=UTC @every 1s" is too often
-> write at least "@every 1m"
`},
	{"a second that the library would make a minute less", `schedule = "@every 59.9s"`, `
1: schedule: "@every 59.9s" is too often
-> write at least "@every 1m"
`},
	{"hardly ever", `schedule = "@every 20000h"`, `
1: schedule: "@every 20000h" is too seldom
-> write at most "@every 744h"
`},
	{"minutes that are none", `schedule = ", * * * *"`, `
1: schedule: ", * * * *" never happens: no time matches it
-> write a cron line of five fields, or "@every 30m"
`},
	{"a number that no field holds", `schedule = "99999999999999999999 * * * *"`, `
1: schedule: "99999999999999999999 * * * *" is not a schedule: no number: 99999999999999999999
-> write a cron line of five fields, or "@every 30m"
`},
	{"far too often", `schedule = "@every 1s"`, `
1: schedule: "@every 1s" is too often
-> write at least "@every 1m"
`},
	{"backwards", `schedule = "@every -5m"`, `
1: schedule: "@every -5m" is too often
-> write at least "@every 1m"
`},
	{"not at all", `schedule = "@every 0s"`, `
1: schedule: "@every 0s" is too often
-> write at least "@every 1m"
`},
	{"interval that is none", `schedule = "@every now"`, `
1: schedule: "@every now" is not a schedule: no duration: @every now
-> write a cron line of five fields, or "@every 30m"
`},
	{"at boot", `schedule = "@reboot"`, `
1: schedule: "@reboot" is not a schedule: unrecognized descriptor
-> write a cron line of five fields, or "@every 30m"
`},
	{"six fields", `schedule = "0 0 * * * *"`, `
1: schedule: "0 0 * * * *" is not a schedule: expected exactly 5 fields, found 6
-> write a cron line of five fields, or "@every 30m"
`},
	{"Sunday as 7", `schedule = "0 3 * * 7"`, `
1: schedule: "0 3 * * 7" is not a schedule: end of range (7) above maximum (6)
-> write 0 for Sunday
`},
	{"word in a cron line", `schedule = "0 noon * * *"`, `
1: schedule: "0 noon * * *" is not a schedule: no number: noon
-> write a cron line of five fields, or "@every 30m"
`},
	{"no schedule", `schedule = ""`, `
1: schedule: "" is not a schedule: empty spec string
-> write a cron line of five fields, or "@every 30m"
`},
	{"interval without its word", `schedule = "30m"`, `
1: schedule: "30m" is not a schedule: expected exactly 5 fields, found 1
-> write a cron line of five fields, or "@every 30m"
`},
	{"window that is an interval", `window = "@every 5m"`, `
1: window: "@every 5m" names no minutes
-> write the minutes as a cron line of five fields: "* 3 * * *"
`},
	{"window that is an interval in a time zone", `window = "TZ=UTC @daily"`, `
1: window: "TZ=UTC @daily" names no minutes
-> write the minutes as a cron line of five fields: "* 3 * * *"
`},
	{"window of hours", `window = "3-4"`, `
1: window: "3-4" is not a schedule: expected exactly 5 fields, found 1
-> write the minutes as a cron line of five fields: "* 3 * * *"
`},
	{"window that never opens", `window = "0 0 30 2 *"`, `
1: window: "0 0 30 2 *" never happens: no time matches it
-> write the minutes as a cron line of five fields: "* 3 * * *"
`},
	{"key type that is not to be had", `key = "ed25519"`, `
1: key: "ed25519" is not a type of key
-> write one of: ec256 ec384 rsa2048 rsa3072 rsa4096
`},
	{"key type in capitals", `key = "RSA2048"`, `
1: key: "RSA2048" is not a type of key
-> did you mean "rsa2048"?
`},
	{"no key type", `key = ""`, `
1: key: is empty
-> write one of: ec256 ec384 rsa2048 rsa3072 rsa4096
`},
	{"profile with a space", `profile = "short lived"`, `
1: profile: "short lived" is not a profile
-> write the profile's name as the CA lists it
`},
	{"no orders at all", `parallel = 0`, `
1: parallel: 0 is out of range
-> write a number from 1 to 64
`},
	{"too many at once", `parallel = 65`, `
1: parallel: 65 is out of range
-> write a number from 1 to 64
`},
	{"number in quotes", `parallel = "8"`, `
1: parallel: is a string, not a whole number
-> write digits without quotes
`},
	{"fraction", `parallel = 8.0`, `
1: parallel: is a number with a fraction, not a whole number
-> write digits without quotes
`},
	{"truth for a string", `preferred_chain = false`, `
1: preferred_chain: is true or false, not a string
-> write it in quotes: "..."
`},
	{"date for a string", `profile = 2026-11-23`, `
1: profile: is a date or time, not a string
-> write it in quotes: "..."
`},
	{"table for a string", `profile = { name = "x" }`, `
1: profile: is a table, not a string
-> write it in quotes: "..."
`},
}
