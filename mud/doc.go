// Package mud is the language of Manufacturer Usage Descriptions (RFC 8520): the MUD URL, the strict reading of a MUD
// file, and the [Profile] that a file declares for a device.
//
// A MUD file is hostile text until its signature has been checked, and its content stays hostile text after that.
// So [Head] reads only what is needed to check the signature (RFC 8520 section 13.2), [Parse] refuses what it doesn't
// understand where ignoring it would allow more (RFC 8519 ACLs are filters), every size, count and depth is bounded,
// and whatever isn't applied is listed as a [Problem] with its JSON path.
//
// What this package must not do: no I/O of any kind, no clock, no goroutines, no logging, no name resolution, no
// imports beyond the standard library and never net/http or os/exec. [Parse] never repairs a file: those written before
// RFC 8520 are refused, and [Convert], which rewrites them, is an explicit act of the administrator.
package mud
