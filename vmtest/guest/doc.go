// Package guest is the first and only process that the machine of package vmtest starts: it makes a household of network
// namespaces, runs the daemon in it, tries things and says on the console what came of them.
//
// All of it is test code (TestMain), so that nothing of it can get into the product. Run in the ordinary way it has no
// tests at all.
package guest
