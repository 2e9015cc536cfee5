package mud

// Transparency says where to find a device's software bills of materials (SBOMs) and what is known of its
// vulnerabilities (RFC 9472). All is hostile text that is only shown.
type Transparency struct {
	SBOMs       []SBOM
	SBOMLocal   string   // http, https, coap or coaps: the device itself serves it, at /.well-known/sbom
	SBOMContact string   // a mailto, tel, http or https URI
	SBOMArchive string   // URL of a list of older ones
	VulnURLs    []string //
	VulnContact string   // as SBOMContact
}

// SBOM is where the bill of materials of one version is.
type SBOM struct {
	Version, URL string
}

// Licence says who owns a MUD file and what others may do with it (draft-ietf-iotops-ol): SPDX identifiers, or URLs.
type Licence struct {
	Owner      string
	SPDX, Info []string
}

// extensions reads what known extensions add to the mud container. None of it changes what the device may do.
func (r *report) extensions(m node, p *Profile) {
	m.each(func(name string, n node) {
		ext, ok := extensionOf(name)
		switch {
		case !ok:
			return
		case !contains(p.Extensions, ext.names):
			r.warn(n.path, "R8520-3.9-a", "it is of the extension %q, which the file doesn't declare in extensions; it is ignored",
				ext.names[0]).mend(`"extensions": ["%s"]`, ext.names[0])
			return
		}
		switch ext.names[0] {
		case extTransparency:
			p.Transparency = r.transparency(n)
		case extTLS:
			p.TLSProfile = n.text() == "true"
		case extLicence:
			p.Licences = r.licences(n)
		case extMASA:
			p.MASA = r.link(n)
		}
		r.note(n.path, "R8520-3.9-b", "the extension %q changes nothing of what the device may do", ext.names[0])
	})
}

func (r *report) transparency(n node) *Transparency {
	t := &Transparency{
		SBOMLocal:   identity(n.get("sbom-local-well-known").text()),
		SBOMContact: r.shown(n.get("sbom-contact-uri")),
		SBOMArchive: r.link(n.get("sbom-archive-list")),
		VulnURLs:    r.links(n.get("vuln-url")),
		VulnContact: r.shown(n.get("vuln-contact-uri")),
	}
	n.get("sboms").each(func(_ string, e node) {
		t.SBOMs = append(t.SBOMs, SBOM{Version: r.shown(e.get("version-info")), URL: r.shown(e.get("sbom-url"))})
	})
	return t
}

func (r *report) licences(n node) []Licence {
	var out []Licence
	n.get("license").each(func(_ string, e node) {
		out = append(out, Licence{Owner: r.shown(e.get("owner-name")), SPDX: e.get("spdx-tag").texts(), Info: r.links(e.get("license-info"))})
	})
	return out
}

// link reads a URL that people may follow; another URI is left out.
func (r *report) link(n node) string {
	if n.exists() && !isWeb(n.text()) {
		r.warn(n.path, "R6991-uri", "%s is no http or https URL, so it is left out and never becomes a link", show(n.text()))
		return ""
	}
	return r.shown(n)
}

func (r *report) links(n node) []string {
	var out []string
	n.each(func(_ string, e node) {
		if s := r.link(e); s != "" {
			out = append(out, s)
		}
	})
	return out
}
