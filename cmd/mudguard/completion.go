package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"mudguard/enforcer"
	"mudguard/mud"
	"mudguard/web"
)

// completionCmd prints what a shell needs to complete command lines. The scripts ask this program for the words, so that they
// know what it knows, MACs of devices included.
func (c *cli) completionCmd(args []string) int {
	if len(args) > 1 && args[0] == "words" && args[1] == "--" {
		for _, w := range c.words(args[2:]) {
			fmt.Fprintf(c.out, "%s\t%s\n", w.text, w.about)
		}
		return exitOK
	}
	pos, code := c.parse(newFlags("completion"), args, 1, 1)
	if code >= 0 {
		return code
	}
	script, ok := completionScripts()[pos[0]]
	if !ok {
		return c.misuse("completion", fmt.Sprintf("it is for bash, zsh or fish, not %q", pos[0]))
	}
	fmt.Fprint(c.out, script)
	return exitOK
}

// completionScripts are by shell. What they get is words and, after a tab, what they are; none is evaluated. Where there is no word, file
// names are completed.
func completionScripts() map[string]string {
	return map[string]string{
		"bash": `# mudguard completion bash > /usr/share/bash-completion/completions/mudguard
_mudguard() {
	local line
	COMPREPLY=()
	while IFS=$'\t' read -r line _; do
		COMPREPLY+=("$line")
	done < <(mudguard completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _mudguard mudguard
`,
		"zsh": `#compdef mudguard
# mudguard completion zsh > /usr/share/zsh/vendor-completions/_mudguard
_mudguard() {
	local line
	local -a texts abouts
	while IFS= read -r line; do
		texts+=("${line%%$'\t'*}")
		abouts+=("${line%%$'\t'*}  ${line#*$'\t'}")
	done < <(mudguard completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)
	if (( ${#texts} )); then
		compadd -l -d abouts -a texts
	else
		_files
	fi
}
if [ "${funcstack[1]}" = _mudguard ]; then
	_mudguard "$@"
else
	compdef _mudguard mudguard
fi
`,
		"fish": `# mudguard completion fish > /usr/share/fish/vendor_completions.d/mudguard.fish
complete -c mudguard -a '(mudguard completion words -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
`,
	}
}

// word is one that may stand at the end of a command line.
type word struct{ text, about string }

// words gives those that the last of typed may become.
func (c *cli) words(typed []string) []word {
	last := ""
	if len(typed) > 0 {
		last = typed[len(typed)-1]
		typed = typed[:len(typed)-1]
	}
	var out []word
	for _, w := range c.candidates(typed, last) {
		if strings.HasPrefix(w.text, last) {
			w.about = mud.Clean(w.about, 80)
			out = append(out, w)
		}
	}
	return out
}

func (c *cli) candidates(before []string, last string) []word {
	if len(before) == 0 {
		return commandWords()
	}
	cmd, ok := find(before[0])
	switch previous := before[len(before)-1]; {
	case before[0] == "help" && len(before) == 1:
		return commandWords()
	case !ok:
		return nil
	case previous == "--device" || previous == "--mac":
		return c.macWords(last)
	case strings.HasPrefix(last, "-"):
		return flagWords(cmd)
	case takesValue(cmd, previous):
		return nil
	}
	n := 0
	for i, w := range before[1:] {
		if !strings.HasPrefix(w, "-") && !takesValue(cmd, before[i]) {
			n++
		}
	}
	return c.argumentWords(cmd, n, last)
}

func commandWords() []word {
	out := []word{{"help", "what a command does"}}
	for _, cmd := range commands() {
		out = append(out, word{cmd.name, cmd.short})
	}
	return out
}

// flagWords are the flags that a command's synopsis names, and those that are understood everywhere.
func flagWords(cmd command) []word {
	out := []word{{"--help", ""}, {"--color=always", ""}, {"--color=never", ""}}
	for _, f := range flagsOf(cmd) {
		out = append(out, word{f, ""})
	}
	if strings.Contains(cmd.long, "--socket") {
		out = append(out, word{"--socket", "the daemon's socket"})
	}
	return out
}

func flagsOf(cmd command) []string {
	flags := regexp.MustCompile(`--[a-z][a-z-]*`).FindAllString(cmd.args, -1)
	slices.Sort(flags)
	return slices.Compact(flags)
}

// takesValue says that a flag of a command is followed by a value, as its synopsis shows: --ca FILE.
func takesValue(cmd command, flag string) bool {
	return flag == "--socket" || strings.HasPrefix(flag, "--") && regexp.MustCompile(regexp.QuoteMeta(flag)+` [A-Z]`).MatchString(cmd.args)
}

// argumentWords are those that the n-th argument of a command may be: MACs, or one of what its synopsis lists.
func (c *cli) argumentWords(cmd command, n int, last string) []word {
	first, _, _ := strings.Cut(cmd.args, " | ")
	first = regexp.MustCompile(`\[?--[a-z-]+( [A-Z]+)?(\.\.\.)?\]?`).ReplaceAllString(first, "")
	args := strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(first))
	if n >= len(args) {
		return nil
	}
	var out []word
	for _, one := range strings.Split(args[n], "|") {
		switch {
		case one == "MAC":
			out = append(out, c.macWords(last)...)
		case one == "PROTO":
			out = append(out, word{"tcp", ""}, word{"udp", ""}, word{"icmp", ""}, word{"icmpv6", ""})
		case one == strings.ToLower(one):
			out = append(out, word{one, ""})
		}
	}
	return out
}

// macWords are the devices of the daemon, if it answers soon. Bash takes colons for ends of words, so MACs have dashes, but where a
// colon was typed already.
func (c *cli) macWords(last string) []word {
	path := c.env("MUDGUARD_SOCKET")
	if path == "" {
		path = defaultSocket
	}
	ctx, cancel := context.WithTimeout(c.ctx, time.Second)
	defer cancel()
	var list []enforcer.DeviceView
	reply, err := web.NewClient(path).Get(ctx, "/api/v1/devices", nil)
	if err != nil || json.Unmarshal(reply.JSON, &list) != nil {
		return nil // no daemon, no devices; completion has no place for errors
	}
	var out []word
	for _, d := range list {
		mac := d.MAC.String()
		if !strings.Contains(last, ":") {
			mac = strings.ReplaceAll(mac, ":", "-")
		}
		out = append(out, word{mac, d.Label})
	}
	return out
}
