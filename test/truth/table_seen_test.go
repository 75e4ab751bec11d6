//go:build integration

package truth

// Clients that change what they see. While the Service is rewritten they see K and T: an edit leaves them where they
// are, writes beside them, or writes over them.

// partial: a key beside K is read as a change of one key, since nothing tells that it is the whole selector.
var partial = asTwin.warning("spec.selector: ")

// seenAndEdited: `kubectl edit` sends a strategic merge patch of what changed in the editor.
var seenAndEdited = []row{
	{sameAgain, "nothing", asTwin},
	{unrelated, "K | http 80>T, admin 81>T", asTwin},
	{keyChanged, "K tier=b | http 80>T, admin 81>T", partial},
	{keyAdded, "K track=x | http 80>T, admin 81>T", partial},
	{keyDropped, "app=web | http 80>T, admin 81>T", asTwin},
	{noSelector, " | http 80>T, admin 81>T", needsSelector},
	{portAdded, "K | http 80>T, admin 81>T, metrics 82>9100", asTwin},
	{portRemoved, "K | http 80>T", asTwin},
	{portRenumbered, "K | http 8080>T, admin 81>T", asTwin},
	{retargeted, "K | http 80>8000, admin 81>T", asTwin},
	{noTargetPort, "K | http 80>80, admin 81>T", asTwin},
	{optedOut, "K | http 80>T, admin 81>T", asTwin},
	{optedIn, "K | http 80>T, admin 81>T", asTwin},
}

// replacedSeen: the whole Service, as it was seen and edited.
var replacedSeen = []row{
	{sameAgain, "K | http 80>T, admin 81>T", asTwin},
	{unrelated, "K | http 80>T, admin 81>T", asTwin},
	{keyChanged, "K tier=b | http 80>T, admin 81>T", partial},
	{keyAdded, "K track=x | http 80>T, admin 81>T", partial},
	{keyDropped, "app=web | http 80>T, admin 81>T", asTwin},
	{noSelector, " | http 80>T, admin 81>T", needsSelector},
	{portAdded, "K | http 80>T, admin 81>T, metrics 82>9100", asTwin},
	{portRemoved, "K | http 80>T", asTwin},
	{portRenumbered, "K | http 8080>T, admin 81>T", asTwin},
	{retargeted, "K | http 80>8000, admin 81>T", asTwin},
	{noTargetPort, "K | http 80>80, admin 81>T", asTwin},
	{optedOut, "K | http 80>T, admin 81>T", asTwin},
	{optedIn, "K | http 80>T, admin 81>T", asTwin},
}
