//go:build integration

package truth

// Patches, as `kubectl patch -p` gets them. They reach TPA as what the API server made of them: a change of live
// fields, and nothing tells what stood in the patch.

const (
	noTarget     = `{"metadata":{"annotations":{"tpa.dev/target":null}}}`
	target       = `{"metadata":{"annotations":{"tpa.dev/target":"web"}}}`
	removeTarget = `[{"op":"remove","path":"/metadata/annotations/tpa.dev~1target"}]`
)

// unseen: null for a key that is not live is no change, so TPA is told of none. Write the whole selector instead.
var unseen = outcome{means: "app=web tier=a | http 80>http, admin 81>9000"}

// patchedStrategic: --type strategic, the default. Lists are merged, ports by their number.
var patchedStrategic = []row{
	{sameAgain.by(`{"spec":{"selector":{"app":"web","tier":"a"}}}`), "K app=web tier=a | http 80>T, admin 81>T", asTwin},
	{unrelated.by(`{"metadata":{"labels":{"team":"billing"}}}`), "K | http 80>T, admin 81>T", asTwin},
	{keyChanged.by(`{"spec":{"selector":{"tier":"b"}}}`), "K tier=b | http 80>T, admin 81>T", partial},
	{keyAdded.by(`{"spec":{"selector":{"track":"x"}}}`), "K track=x | http 80>T, admin 81>T", partial},
	{keyDropped.by(`{"spec":{"selector":{"tier":null}}}`), "K | http 80>T, admin 81>T", unseen},
	{noSelector.by(`{"spec":{"selector":null}}`), " | http 80>T, admin 81>T", needsSelector},
	{portAdded.by(`{"spec":{"ports":[{"name":"metrics","port":82,"targetPort":9100}]}}`), "K | metrics 82>9100, http 80>T, admin 81>T", asTwin},
	{portRemoved.by(`{"spec":{"ports":[{"port":81,"$patch":"delete"}]}}`), "K | http 80>T", asTwin},
	{portRenumbered.by(`{"spec":{"ports":[{"port":80,"$patch":"delete"},{"name":"http","port":8080,"targetPort":"http"}]}}`), "K | http 8080>http, admin 81>T", asTwin},
	{retargeted.by(`{"spec":{"ports":[{"port":80,"targetPort":8000}]}}`), "K | http 80>8000, admin 81>T", asTwin},
	{noTargetPort.by(`{"spec":{"ports":[{"port":80,"targetPort":null}]}}`), "K | http 80>80, admin 81>T", asTwin},
	{optedOut.by(noTarget), "K | http 80>T, admin 81>T", asTwin},
	{optedIn.by(target), "K | http 80>T, admin 81>T", asTwin},
}

// patchedMerge: --type merge. Lists are replaced.
var patchedMerge = []row{
	{sameAgain.by(`{"spec":{"selector":{"app":"web","tier":"a"}}}`), "K app=web tier=a | http 80>T, admin 81>T", asTwin},
	{unrelated.by(`{"metadata":{"labels":{"team":"billing"}}}`), "K | http 80>T, admin 81>T", asTwin},
	{keyChanged.by(`{"spec":{"selector":{"tier":"b"}}}`), "K tier=b | http 80>T, admin 81>T", partial},
	{keyAdded.by(`{"spec":{"selector":{"track":"x"}}}`), "K track=x | http 80>T, admin 81>T", partial},
	{keyDropped.by(`{"spec":{"selector":{"tier":null}}}`), "K | http 80>T, admin 81>T", unseen},
	{noSelector.by(`{"spec":{"selector":null}}`), " | http 80>T, admin 81>T", needsSelector},
	{portAdded.by(`{"spec":{"ports":[{"name":"http","port":80,"targetPort":"http"},{"name":"admin","port":81,"targetPort":9000},{"name":"metrics","port":82,"targetPort":9100}]}}`), "K | http 80>http, admin 81>9000, metrics 82>9100", asTwin},
	{portRemoved.by(`{"spec":{"ports":[{"name":"http","port":80,"targetPort":"http"}]}}`), "K | http 80>http", asTwin},
	{portRenumbered.by(`{"spec":{"ports":[{"name":"http","port":8080,"targetPort":"http"},{"name":"admin","port":81,"targetPort":9000}]}}`), "K | http 8080>http, admin 81>9000", asTwin},
	{retargeted.by(`{"spec":{"ports":[{"name":"http","port":80,"targetPort":8000},{"name":"admin","port":81,"targetPort":9000}]}}`), "K | http 80>8000, admin 81>9000", asTwin},
	{noTargetPort.by(`{"spec":{"ports":[{"name":"http","port":80},{"name":"admin","port":81,"targetPort":9000}]}}`), "K | http 80>80, admin 81>9000", asTwin},
	{optedOut.by(noTarget), "K | http 80>T, admin 81>T", asTwin},
	{optedIn.by(target), "K | http 80>T, admin 81>T", asTwin},
}

// noSuchKey: what is not live cannot be removed. Replace the whole selector instead.
var noSuchKey = outcome{lost: "the server rejected our request due to an error in our request"}

// patchedJSON: --type json. Each operation names a live field.
var patchedJSON = []row{
	{sameAgain.by(`[{"op":"replace","path":"/spec/selector","value":{"app":"web","tier":"a"}}]`), "app=web tier=a | http 80>T, admin 81>T", asTwin},
	{unrelated.by(`[{"op":"replace","path":"/metadata/labels/team","value":"billing"}]`), "K | http 80>T, admin 81>T", asTwin},
	{keyChanged.by(`[{"op":"add","path":"/spec/selector/tier","value":"b"}]`), "K tier=b | http 80>T, admin 81>T", partial},
	{keyAdded.by(`[{"op":"add","path":"/spec/selector/track","value":"x"}]`), "K track=x | http 80>T, admin 81>T", partial},
	{keyDropped.by(`[{"op":"remove","path":"/spec/selector/tier"}]`), "nothing", noSuchKey},
	{noSelector.by(`[{"op":"remove","path":"/spec/selector"}]`), " | http 80>T, admin 81>T", needsSelector},
	{portAdded.by(`[{"op":"add","path":"/spec/ports/-","value":{"name":"metrics","port":82,"targetPort":9100}}]`), "K | http 80>T, admin 81>T, metrics 82>9100", asTwin},
	{portRemoved.by(`[{"op":"remove","path":"/spec/ports/1"}]`), "K | http 80>T", asTwin},
	{portRenumbered.by(`[{"op":"replace","path":"/spec/ports/0/port","value":8080}]`), "K | http 8080>T, admin 81>T", asTwin},
	{retargeted.by(`[{"op":"replace","path":"/spec/ports/0/targetPort","value":8000}]`), "K | http 80>8000, admin 81>T", asTwin},
	{noTargetPort.by(`[{"op":"remove","path":"/spec/ports/0/targetPort"}]`), "K | http 80>80, admin 81>T", asTwin},
	{optedOut.by(removeTarget), "K | http 80>T, admin 81>T", asTwin},
	{optedIn.by(`[{"op":"add","path":"/metadata/annotations/tpa.dev~1target","value":"web"}]`), "K | http 80>T, admin 81>T", asTwin},
}
