//go:build integration

package truth

// tables is the truth table. A row reads: who makes this edit, sends this while the Service is rewritten, and this comes
// of it. The user wrote
//
//	app=web tier=a | http 80>http, admin 81>9000
//
// and what is live in Active and Restoring is
//
//	K | http 80>T, admin 81>T
//
// where K is TPA's selector key and T a targetPort of TPA's. asTwin: in every phase the user has, and gets back, what
// there would be without TPA; and what changes nothing without TPA changes nothing with it.
var tables = []table{
	{client{name: "kubectl apply", send: kubectl("apply")}, merged},
	{client{name: "Argo CD client-side", send: kubectl("apply", "--field-manager=argocd-controller")}, merged},
	{helm("Helm 3", "helm3"), merged},
	{helm("Helm 4 client-side", "helm4", "--server-side=false"), merged},

	{client{name: "kubectl apply server-side", send: kubectl("apply", "--server-side")}, applied},
	{helm("Helm 4 server-side", "helm4", "--server-side=true"), applied},
	{client{name: "Argo CD", send: argo}, applied},
	{client{name: "Flux", send: flux}, applied},

	{client{name: "kubectl replace", create: create, send: kubectl("replace")}, replaced},
	{client{name: "kubectl get and replace", create: create, send: replaceSeen}, replacedSeen},
	{client{name: "kubectl edit", create: create, send: openEditor, noDryRun: true}, seenAndEdited},
	{client{name: "kubectl patch", create: create, send: patch("strategic"), optOut: optedOut.by(noTarget)}, patchedStrategic},
	{client{name: "kubectl patch merge", create: create, send: patch("merge"), optOut: optedOut.by(noTarget)}, patchedMerge},
	{client{name: "kubectl patch json", create: create, send: patch("json"), optOut: optedOut.by(removeTarget)}, patchedJSON},
}

// needsSelector: TPA finds the pods by the selector, so it cannot go while the Service is managed.
var needsSelector = outcome{refused: []string{"spec.selector is required", "remove tpa.dev/target"}}

// merged: the client compares the manifest with its last one and with what is live, and sends a merge patch. The
// selector is a map, so K stays in it.
var merged = []row{
	{sameAgain, "K app=web tier=a | http 80>http, admin 81>9000", asTwin},
	{unrelated, "K app=web tier=a | http 80>http, admin 81>9000", asTwin},
	{keyChanged, "K app=web tier=b | http 80>http, admin 81>9000", asTwin},
	{keyAdded, "K app=web tier=a track=x | http 80>http, admin 81>9000", asTwin},
	{keyDropped, "K app=web | http 80>http, admin 81>9000", asTwin},
	{noSelector, " | http 80>http, admin 81>9000", needsSelector},
	{portAdded, "K app=web tier=a | http 80>http, admin 81>9000, metrics 82>9100", asTwin},
	{portRemoved, "K app=web tier=a | http 80>http", asTwin},
	{portRenumbered, "K app=web tier=a | http 8080>http, admin 81>9000", asTwin},
	{retargeted, "K app=web tier=a | http 80>8000, admin 81>9000", asTwin},
	{noTargetPort, "K app=web tier=a | http 80>80, admin 81>9000", asTwin},
	{optedOut, "K app=web tier=a | http 80>http, admin 81>9000", asTwin},
	{optedIn, "K app=web tier=a | http 80>http, admin 81>9000", asTwin},
}

// applied: the API server puts the manifest in place of what this manager applied before. The selector is atomic, so K
// goes.
var applied = []row{
	{sameAgain, "app=web tier=a | http 80>http, admin 81>9000", asTwin},
	{unrelated, "app=web tier=a | http 80>http, admin 81>9000", asTwin},
	{keyChanged, "app=web tier=b | http 80>http, admin 81>9000", asTwin},
	{keyAdded, "app=web tier=a track=x | http 80>http, admin 81>9000", asTwin},
	{keyDropped, "app=web | http 80>http, admin 81>9000", asTwin},
	{noSelector, " | http 80>http, admin 81>9000", needsSelector},
	{portAdded, "app=web tier=a | http 80>http, admin 81>9000, metrics 82>9100", asTwin},
	{portRemoved, "app=web tier=a | http 80>http", asTwin},
	{portRenumbered, "app=web tier=a | http 8080>http, admin 81>9000", asTwin},
	{retargeted, "app=web tier=a | http 80>8000, admin 81>9000", asTwin},
	{noTargetPort, "app=web tier=a | http 80>80, admin 81>9000", asTwin},
	{optedOut, "app=web tier=a | http 80>http, admin 81>9000", asTwin},
	{optedIn, "app=web tier=a | http 80>http, admin 81>9000", asTwin},
}

// replaced: the manifest takes the place of everything, TPA's annotations included, which TPA puts back.
var replaced = []row{
	{sameAgain, "app=web tier=a | http 80>http, admin 81>9000", putBack},
	{unrelated, "app=web tier=a | http 80>http, admin 81>9000", putBack},
	{keyChanged, "app=web tier=b | http 80>http, admin 81>9000", putBack},
	{keyAdded, "app=web tier=a track=x | http 80>http, admin 81>9000", putBack},
	{keyDropped, "app=web | http 80>http, admin 81>9000", putBack},
	{noSelector, " | http 80>http, admin 81>9000", needsSelector},
	{portAdded, "app=web tier=a | http 80>http, admin 81>9000, metrics 82>9100", putBack},
	{portRemoved, "app=web tier=a | http 80>http", putBack},
	{portRenumbered, "app=web tier=a | http 8080>http, admin 81>9000", putBack},
	{retargeted, "app=web tier=a | http 80>8000, admin 81>9000", putBack},
	{noTargetPort, "app=web tier=a | http 80>80, admin 81>9000", putBack},
	{optedOut, "app=web tier=a | http 80>http, admin 81>9000", putBack},
	{optedIn, "app=web tier=a | http 80>http, admin 81>9000", putBack},
}

var putBack = asTwin.warning("tpa.dev/managed, tpa.dev/original, tpa.dev/phase, tpa.dev/ports: only TPA itself changes this")
