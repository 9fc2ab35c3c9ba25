// Package servers proves the presets on the servers they are for: those of
// Debian, as its packages install, configure, start and reload them. Each test
// is the life of one server: the programs keypaird and keypaird-dns issue by
// Pebble and BIND and deploy as the preset says, an independent client, openssl
// s_client, looks at what is presented, and what "keypaird status" says is read
// when something was broken.
//
// Every test has a network, mounts, process ids and a host name of its own, so
// ports, files and users are the usual ones. There is no service manager: its
// command, systemctl, is a stand-in that runs what the units of the packages
// say. It takes root on Linux.
package servers
