package mud

import "strings"

// abstractions reads RFC 8520's own conditions (section 4.1 to 4.7).
func (b *aceReader) abstractions(n node) {
	n.each(func(name string, leaf node) {
		switch name {
		case "same-manufacturer":
			b.addRemote(Remote{Kind: RemoteSameManufacturer})
		case "local-networks":
			b.addRemote(Remote{Kind: RemoteLocalNetworks})
		case "my-controller":
			b.addRemote(Remote{Kind: RemoteMyController})
		case "manufacturer":
			b.valued(leaf, RemoteManufacturer, "R8520-4.1-a", b.manufacturer)
		case "model":
			b.valued(leaf, RemoteModel, "R8520-4.4-a", func(n node) (string, error) {
				u, err := ParseURL(n.text())
				return u.s, err
			})
		case "controller":
			b.valued(leaf, RemoteController, "R8520-4.6-a", b.class)
		}
	})
}

// valued reads a condition on the peer that has a string value.
func (b *aceReader) valued(n node, k RemoteKind, row string, read func(node) (string, error)) {
	v, err := read(n)
	if err != nil {
		p := b.cannot(n.path, row, "%v", err)
		if k == RemoteController && !hasScheme(n.text()) {
			p.mend("%s", pair("controller", quote("urn:ietf:params:mud:"+plainName(n.text()))))
		}
		return
	}
	b.addRemote(Remote{Kind: k, Value: v})
}

// manufacturer gives the host to compare with that of MUD URLs (RFC 8520 section 4.1, T-10).
func (b *aceReader) manufacturer(n node) (string, error) {
	name, addr, err := parseHost(n.text())
	if err != nil || !addr.IsValid() {
		return name, err
	}
	b.r.warn(n.path, "T-11", "%s is an address and not a name; %s", addr, kindOf(addr))
	return addr.String(), nil
}

func (b *aceReader) class(n node) (string, error) {
	c, err := ParseClass(n.text())
	if err == nil && strings.HasPrefix(c, mudURN) && c != ClassDNS && c != ClassNTP {
		b.r.warn(n.path, "T-15", "the class %s is not registered; nothing matches until the administrator says which hosts it "+
			"means", show(c))
	}
	return c, err
}
