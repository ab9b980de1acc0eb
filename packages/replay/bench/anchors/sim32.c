/* Anchor of `npm run bench`: the C program that the TLB replay is measured against; input is u64 words, address | write << 63. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "core32.h"
int main(int c,char**v){ FILE*f=fopen(v[1],"rb"); int rounds=c>2?atoi(v[2]):5; fseek(f,0,SEEK_END); long n=ftell(f)/8; rewind(f); uint64_t*t=malloc(n*8); if(fread(t,8,n,f)!=n)return 1;
 int*k=malloc(n*4); static uint64_t rg[2048]; int nr=0; uint64_t last=~0ull;int li=0; for(long i=0;i<n;i++){ uint64_t h=(t[i]&0x7fffffffffffffffull)>>32; if(h!=last){last=h; int j=0; while(j<nr&&rg[j]!=h)j++; if(j==nr)rg[nr++]=h; li=j+1;} k[i]=(li<<21)|(((uint32_t)t[i]>>12)<<1)|(int)(t[i]>>63); }
 for(int r=0;r<rounds;r++){ memset(l1,0,sizeof l1);memset(l2,0,sizeof l2);memset(regRoot,0,sizeof regRoot);memset(pt,0,(size_t)nn*4096);nn=1;c1=c2=cw=cf=cu=pfn=0;
  struct timespec a,b;clock_gettime(CLOCK_PROCESS_CPUTIME_ID,&a); for(long i=0;i<n;i++)acc(k[i]); clock_gettime(CLOCK_PROCESS_CPUTIME_ID,&b); double s=(b.tv_sec-a.tv_sec)+(b.tv_nsec-a.tv_nsec)/1e9;
  printf("C32 %s n=%ld %.1f Macc/s l1=%u l2=%u walk=%u fault=%u up=%u nodes=%d\n",v[1],n,n/s/1e6,c1,c2,cw,cf,cu,nn);fflush(stdout);} }
