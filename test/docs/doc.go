// Package docs reads the project's Markdown as a reader does, and says for each command in it which test runs it:
//
//	documents, err := docs.Read("../..")
//	for _, c := range documents.Commands() {
//		if docs.By(c) == nil { /* nobody runs it */ }
//	}
//
// What counts as a command: every line of a block of code that is indented, or fenced as sh; and code within a sentence that
// begins with one of the programs that the documents call (Programs). A block in another language is fenced and says which.
//
// It runs nothing itself, but for the tests beside it.
package docs
