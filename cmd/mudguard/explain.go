package main

import (
	"fmt"
	"net/url"

	"mudguard/dhcp"
	"mudguard/enforcer"
)

// explainCmd says whether a flow is allowed, and by which rule.
func (c *cli) explainCmd(args []string) int {
	k, code := c.asks(newFlags("explain"), args, 4, 5)
	if code >= 0 {
		return code
	}
	query, err := flowQuery(k.pos)
	if err != nil {
		return c.misuse("explain", err.Error())
	}
	var x enforcer.Explanation
	code = k.show("/api/v1/explain", query, &x, func() { c.printExplanation(x) })
	if code == exitOK && !x.Allowed {
		return exitNo
	}
	return code
}

// flowQuery reads MAC DIRECTION PROTO ADDR_OR_NAME [PORT].
func flowQuery(pos []string) (url.Values, error) {
	mac, err := dhcp.ParseMAC(pos[0])
	if err != nil {
		return nil, err
	}
	if pos[1] != "out" && pos[1] != "in" {
		return nil, fmt.Errorf("DIRECTION is out or in, not %q", pos[1])
	}
	if _, err := enforcer.ParseProto(pos[2]); err != nil {
		return nil, err
	}
	q := url.Values{"mac": {mac.String()}, "direction": {pos[1]}, "proto": {pos[2]}, "host": {pos[3]}}
	if len(pos) > 4 {
		q.Set("port", pos[4])
	}
	return q, nil
}

func (c *cli) printExplanation(x enforcer.Explanation) {
	word, t := "denied", bad
	if x.Allowed {
		word, t = "allowed", good
	}
	fmt.Fprintf(c.out, "%s: %s\n", c.paint(t, word), safe(x.Reason))
	if x.Rule != nil {
		c.pairs("ACL", x.Rule.ACL, "ACE", x.Rule.ACE, "path", x.Rule.Path)
	}
}
