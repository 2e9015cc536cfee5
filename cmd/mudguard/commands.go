package main

import (
	"fmt"
	"io"
)

// commands lists the subcommands, in the order of the usage.
func commands() []command {
	const socket = "\n\n--socket PATH is the daemon's socket; default: $MUDGUARD_SOCKET, else " + defaultSocket + "."
	return []command{
		{"run", "--config FILE", "the daemon, in the foreground",
			"SIGTERM stops it, SIGHUP makes it reread the configuration.", func(_ *cli, a []string) int { return runCmd(a) }},
		{"demo", "[-v] [--web]", "a whole gateway, device and cloud in network namespaces",
			"Prints what was announced, fetched, enforced, allowed and denied. --web stays up afterwards and prints the address of the pages. Needs root.", func(_ *cli, a []string) int { return demoCmd(a) }},
		{"status", "[--watch] [--json]", "how the daemon is, and what it cannot enforce here", "The daemon, the kernel, the sources of news about devices, and what cannot be enforced on this host, and why." + socket, (*cli).statusCmd},
		{"devices", "[--watch] [--json]", "the devices", "--watch shows them anew every two seconds." + socket, (*cli).devicesCmd},
		{"device", "MAC [--watch] [--json]", "one device", "Its profile, entries (ACEs) with what came of them, names, addresses and denials." + socket, (*cli).deviceCmd},
		orderCommand("approve", "accept the profile, or the other URL, that waits", socket),
		orderCommand("hold", "infrastructure only, until approved or released", socket),
		orderCommand("quarantine", "cut a device off, but for DHCP", socket),
		orderCommand("release", "end a quarantine or a hold", socket),
		orderCommand("forget", "forget a device; if it speaks again it is new", socket),
		orderCommand("observe", "deny a device nothing, list what would be denied", socket),
		orderCommand("enforce", "enforce a device's policy", socket),
		{"pause", "MAC 15m [--json]", "take a device's policy off for 1m to 24h", "It ends by itself, also if the daemon is not there." + socket, (*cli).pauseCmd},
		orderCommand("resume", "end a pause", socket),
		{"name", "MAC NAME [--json]", "call a device something", `The name "" takes it away.` + socket, (*cli).nameCmd},
		{"waiting", "[--json]", "what waits for approval, and what that would allow", "" + socket, (*cli).waitingCmd},
		{"attempts", "[--json] [--device MAC]", "what was denied, equal attempts together", "" + socket, (*cli).attemptsCmd},
		{"history", "[--json] [--device MAC] [--kind denial|state|counters] [--since 24h]", "what was denied, changed and counted, also before a restart",
			"The newest first." + socket, (*cli).historyCmd},
		{"report", "[MAC] [--json]", "what enforce would deny of what is only observed", "" + socket, (*cli).reportCmd},
		{"allow", "MAC out|in PROTO NAME_OR_ADDRESS [PORT] [--for 24h|always] [--note WHY] [--preview] [--json]", "except a flow from a device's policy",
			"It goes beyond what the manufacturer declared, and ends by itself unless it is for always.\nPORT is the peer's for out, the device's for in.\n" +
				"--preview says what it would open and changes nothing." + socket, (*cli).allowCmd},
		{"exceptions", "MAC [--json]", "what a device is allowed beyond its manufacturer's policy", "" + socket, (*cli).exceptionsCmd},
		{"revoke", "MAC ID [--json]", "take an exception back", "" + socket, (*cli).revokeCmd},
		{"overlay", "[MAC|URL [FILE|--remove]] [--json]", "lay a MUD file of your own over a device's, or over all of a model",
			"Its entries come first: an accept adds to what the manufacturer allows, a drop takes away. Without FILE it shows what is laid over." + socket, (*cli).overlayCmd},
		{"import", "DIR|FILE... [--approve] [--json]", "bring MUD files with their signatures, for sites without their servers",
			"The signature of x.json is x.p7s beside it: the manufacturer's, or your own with a CA of signatures.ca_files.\n--approve takes these very files although nobody signed them.\nExit code 1: a file is not used." + socket, (*cli).importCmd},
		{"assign", "MAC URL | --qr TEXT [MAC] | MAC --cert FILE [--json]", "give a device a MUD URL by hand",
			`The URL "" takes it away. --qr takes it from the text of a QR code (RFC 9238), control characters and all; - is the standard` +
				"\ninput. --cert takes it from the device's certificate, PEM or DER; that it is genuine is for you to know." + socket, (*cli).assignCmd},
		{"denials", "[--device MAC] [--follow|--watch] [--json]", "what was denied, and why",
			"--follow goes on with what comes; with --json it prints one object a line, else one array." + socket, (*cli).denialsCmd},
		{"explain", "MAC out|in PROTO ADDR_OR_NAME [PORT] [--json]", "whether a flow is allowed, and by which rule",
			"PROTO is tcp, udp, icmp, icmpv6 or a number. tcp and udp need PORT: the peer's for out, the device's for in.\nExit code 0: allowed, 1: denied." + socket, (*cli).explainCmd},
		{"password", "[--json]", "set the password of the web pages",
			"Asks for it at the terminal; else it is the first line of the standard input. Ends all sessions." + socket, (*cli).passwordCmd},
		{"plan", "--config FILE --profile FILE [--mac MAC] [--ip ADDR]", "the nft script for a profile, without a kernel", "", func(_ *cli, a []string) int { return planCmd(a) }},
		{"lint", "FILE... [--json] [--strict]", "what is wrong with MUD files",
			"Each problem with its JSON path, the standard's row and how severe it is. - is the standard input.\nExit code 1: there is an error (with --strict also: a warning), 2: a file cannot be read.", (*cli).lintCmd},
		{"convert", "FILE", "legacy dialects of MUD files to RFC 8520",
			"The file goes to the standard output, what was changed and why to the standard error.\n" +
				"What can't be understood is left out or forbids more, and is listed, too. A signature of the old file doesn't fit the new one.\n" +
				"- is the standard input. Exit code 1: it can't be converted into a file that can be used.", (*cli).convertCmd},
		{"verify", "FILE SIGNATURE --ca FILE... [--at TIME] [--json]", "check a detached CMS signature",
			"--ca may be given more than once, or with commas. --at is an RFC 3339 time or a date; default: now.\nExit code 1: the signature is refused.", (*cli).verifyCmd},
		{"hook", "dnsmasq ACTION MAC ADDRESS [HOSTNAME] | kea EVENT", "for a DHCP server to tell the daemon of leases",
			"dnsmasq: dhcp-script=/usr/lib/mudguard/dnsmasq-hook; kea: libdhcp_run_script with /usr/lib/mudguard/kea-hook; both are links to\n" +
				"this program. It reads the server's environment, asks $MUDGUARD_SOCKET or " + defaultSocket + ",\n" +
				"takes a second at most, and its exit code is 0 whatever happens: a server must not suffer from us.", (*cli).hookCmd},
		{"doctor", "[--config FILE] [--json]", "what is not as it should be, and what to do about it",
			"Looks at the configuration, the daemon, the kernel, the LAN, other programs and what waits.\nExit code 1: something is to be done." + socket, (*cli).doctorCmd},
		{"completion", "bash|zsh|fish", "completion of command lines, for a shell", "Prints the script; its first line says where packages put it.\n" +
			"In a shell of today: source <(mudguard completion bash).", (*cli).completionCmd},
		{"man", "DIR", "write the manual pages", "", (*cli).manCmd},
		{"version", "[--json]", "the version", "", (*cli).versionCmd},
	}
}

func orderCommand(name, short, socket string) command {
	return command{name, "MAC [--json]", short, socket, func(c *cli, args []string) int { return c.orderCmd(name, args) }}
}

func (x command) synopsis() string {
	s := "mudguard " + x.name
	if x.args != "" {
		s += " " + x.args
	}
	return s
}

// help prints the usage, or that of one command.
func (c *cli) help(args []string) int {
	if len(args) == 0 {
		c.usage(c.out)
		return exitOK
	}
	cmd, ok := find(args[0])
	if !ok {
		return c.unknown(args[0])
	}
	fmt.Fprintf(c.out, "usage: %s\n\n%s\n", cmd.synopsis(), sentence(cmd.short))
	if long := trimBlank(cmd.long); long != "" {
		fmt.Fprintf(c.out, "\n%s\n", long)
	}
	return exitOK
}

func (c *cli) usage(w io.Writer) {
	fmt.Fprint(w, "mudguard keeps devices to what their manufacturers declared (RFC 8520).\n\n")
	for _, cmd := range commands() {
		fmt.Fprintf(w, "  %-12s%s\n", cmd.name, cmd.short)
	}
	fmt.Fprint(w, "\nmudguard help COMMAND says more. --color=auto|always|never is understood everywhere. Exit codes: 0 fine, 1 not as it should be, 2 usage or configuration\n"+
		"error, 3 the daemon cannot be reached.\n")
}
