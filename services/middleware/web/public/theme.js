// Runs before the first paint, so that a dark page never flashes white and <html lang> is right.
;(function () {
  var theme = null
  var language = null
  try {
    theme = localStorage.getItem('querykeep.theme')
    language = localStorage.getItem('querykeep.language')
  } catch (error) {
    theme = null
  }
  var dark =
    theme === 'dark' || (theme !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches)
  document.documentElement.dataset.theme = dark ? 'dark' : 'light'
  document.documentElement.lang =
    language || (navigator.language.toLowerCase().indexOf('ko') === 0 ? 'ko' : 'en')
})()
