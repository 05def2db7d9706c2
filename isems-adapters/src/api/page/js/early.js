// Before anything is drawn: the theme that was chosen, if one was.
try {
  const theme = localStorage.getItem('isems.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden; then the system's theme holds.
}
