# Makes the list of parts (SPDX 2.3, tag-value) of what `go version -m BINARY` says of a binary. Needs version and built.
BEGIN {
	FS = "\t"
	print "SPDXVersion: SPDX-2.3\nDataLicense: CC0-1.0\nSPDXID: SPDXRef-DOCUMENT\nDocumentName: mudguard"
	print "DocumentNamespace: https://mudguard.invalid/spdx/" version "\nCreator: Tool: make-sbom\nCreated: " built
	part("mudguard", version, "Apache-2.0")
	print "Relationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-mudguard"
}
NR == 1 { # "dist/mudguard-linux-amd64: go1.26.0"
	sub(/.*: go/, "")
	used("go", $0)
}
$2 == "dep" {
	used($3, $4)
	print "ExternalRef: PACKAGE-MANAGER purl pkg:golang/" $3 "@" $4
	print "PackageComment: <text>" $5 "</text>"
}
function part(name, v, licence) {
	print "\nPackageName: " name "\nSPDXID: SPDXRef-" safe(name) "\nPackageVersion: " v "\nPackageDownloadLocation: NOASSERTION\nFilesAnalyzed: false"
	print "PackageLicenseConcluded: " licence "\nPackageLicenseDeclared: " licence "\nPackageCopyrightText: NOASSERTION"
}
function used(name, v) {
	uses = uses "Relationship: SPDXRef-mudguard CONTAINS SPDXRef-" safe(name) "\n"
	part(name, v, "NOASSERTION")
}
function safe(name) {
	gsub(/[^A-Za-z0-9.-]/, "-", name)
	return name
}
END { printf "\n%s", uses }
