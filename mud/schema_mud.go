package mud

import (
	"slices"
	"strings"
)

// The roots of a MUD file (RFC 8520 section 2.1).
func fileSchema() schema {
	return container("", mudSchema(), aclsSchema(), leaf(rootLegacy, never("T-14", "this root is of a draft before RFC 8519, where it "+
		"is called "+rootACLs+"; convert the file with the legacy import")))
}

// mudSchema is ietf-mud and what known extensions add to its container.
func mudSchema() schema {
	kids := []schema{
		leaf("mud-version", uintType(0, 255).or("1")).mandatory().of("R8520-3.1-a"),
		leaf("mud-url", uriType).mandatory().of("R8520-3.2-a"),
		leaf("mud-signature", uriType).of("RAU-5-d"),
		leaf("last-update", leafType(dateType).or(`"2026-01-31T12:00:00Z"`)).mandatory().of("R8520-3.4-a"),
		leaf("cache-validity", uintType(minCacheHours, maxCacheHours).or("48")).of("R8520-3.5-b"),
		leaf("is-supported", boolType).mandatory().of("R8520-3.6-a"),
		leaf("systeminfo", stringType(0, 0)).of("R8520-3.7-a"),
		leaf("mfg-name", stringType(0, 0)).of("R8520-3.8-a"),
		leaf("model-name", stringType(0, 0)).of("R8520-3.8-a"),
		leaf("firmware-rev", stringType(0, 0)).of("R8520-3.8-a"),
		leaf("software-rev", stringType(0, 0)).of("R8520-3.8-a"),
		leaf("documentation", uriType).of("R8520-4.3-a"),
		leafList("extensions", stringType(1, 40)).of("R8520-3.9-a"),
		policySchema("from-device-policy"),
		policySchema("to-device-policy"),
	}
	for _, e := range extensions() {
		kids = append(kids, e.schema.answeredBy(aside))
	}
	return container(rootMUD, kids...)
}

func policySchema(name string) schema {
	return container(name,
		container("access-lists",
			list("access-list", "name",
				leaf("name", stringType(1, 64)).of("R8519-4-b"))))
}

// known is an extension of the mud container: the names by which files declare it, and what it adds.
type known struct {
	names  []string
	schema schema
}

// Names of the extensions that have an effect here or are shown.
const (
	extTransparency = "transparency" // RFC 9472
	extTLS          = "ietf-mud-tls" // RFC 9761
	extLicence      = "ol"           // draft-ietf-iotops-ol
	extMASA         = "masa"         // ietf-mud-brski-masa
)

// extensions lists the known ones (standards.md section 8). None changes an ACL here.
func extensions() []known {
	return []known{
		{[]string{extTransparency, "ietf-mud-transparency"}, transparencySchema()},
		{[]string{extTLS}, leaf("ietf-mud-tls:is-tls-dtls-profile-supported", boolType).of("R9761-5.4-a")},
		{[]string{extLicence, "ietf-ol"}, licenceSchema()},
		{[]string{extMASA, "ietf-mud-brski-masa"}, leaf("ietf-mud-brski-masa:masa-server", uriType)},
		{[]string{"reporter", "ietf-mud-reporter-extension"}, container("ietf-mud-reporter-extension:reporter",
			leaf("report-uri", uriType), leaf("frequency", uintType(60, 1<<32-1)))},
		{[]string{"controller-candidate", "ietf-mud-controller-candidate"}, container("ietf-mud-controller-candidate:controller-candidates",
			leafList("urls", uriType), leafList("classes", uriType))},
		{[]string{"ietf-mud-detext-example"}, leaf("ietf-mud-detext-example:is-detnet-required", boolType)},
	}
}

// extensionOf gives the known extension that a member of the mud container is of.
func extensionOf(member string) (known, bool) {
	all := extensions()
	i := slices.IndexFunc(all, func(k known) bool { return k.schema.name == member })
	if i < 0 {
		return known{}, false
	}
	return all[i], true
}

// knownExtension tells whether a declared name is one of those above.
func knownExtension(name string) bool {
	return slices.ContainsFunc(extensions(), func(k known) bool { return slices.Contains(k.names, name) })
}

// transparencySchema is ietf-mud-transparency (RFC 9472). The examples of the RFC write its prefix instead of its name.
func transparencySchema() schema {
	contact := schemeType("mailto", "http", "https", "tel")
	return container("ietf-mud-transparency:transparency",
		list("sboms", "version-info",
			leaf("version-info", stringType(0, 0)),
			leaf("sbom-url", schemeType("coap", "coaps", "http", "https"))).in("sbom", "cloud"),
		leaf("sbom-local-well-known", identityType("ietf-mud-transparency", "http", "https", "coap", "coaps")).in("sbom", "local"),
		leaf("sbom-contact-uri", contact).in("sbom", "contact"),
		leaf("sbom-archive-list", uriType),
		leafList("vuln-url", uriType).in("vuln", "cloud"),
		leaf("vuln-contact-uri", contact).in("vuln", "contact"),
	).called("mudtx:transparency", "R9472-3-a").of("R9472-4-a")
}

// licenceSchema is ietf-ol (draft-ietf-iotops-ol).
func licenceSchema() schema {
	return container("ietf-ol:ol",
		list("license", "owner-name",
			leaf("owner-name", stringType(1, 128)),
			leafList("spdx-tag", stringType(0, 0)).in("type", "spdx"),
			leafList("license-info", uriType).in("type", "url")))
}

// modules lists those that the schema is made of, so that what it doesn't have of theirs doesn't exist.
func modules() []string {
	out := []string{"ietf-mud", aclModule, "ietf-acldns", "ietf-acl-tls"}
	for _, e := range extensions() {
		out = append(out, e.schema.name[:strings.IndexByte(e.schema.name, ':')])
	}
	return out
}

// declaresUnknown tells whether the file declares an extension that isn't known here.
func declaresUnknown(root node) bool {
	found := false
	root.get(rootMUD).get("extensions").each(func(_ string, e node) {
		found = found || e.kind() == kindString && !knownExtension(e.text())
	})
	return found
}
