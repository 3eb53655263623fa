// Before the first paint: who was in the chat before a reload does not see the form flash by.
try {
  if (localStorage.getItem("geventchat.joined")) document.documentElement.dataset.view = "chat";
} catch {
  // no storage: the form it is
}
